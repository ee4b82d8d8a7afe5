package panel

func (p *Panel) votersRoutes() []route { return nil }
