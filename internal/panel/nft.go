package panel

func (p *Panel) nftRoutes() []route { return nil }
