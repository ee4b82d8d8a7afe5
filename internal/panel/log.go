package panel

func (p *Panel) logRoutes() []route { return nil }
