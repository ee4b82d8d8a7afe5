package panel

func (p *Panel) nftsRoutes() []route { return nil }
