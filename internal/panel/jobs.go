package panel

func (p *Panel) jobsRoutes() []route { return nil }
