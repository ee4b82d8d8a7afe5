package panel

func (p *Panel) overviewRoutes() []route { return nil }
