package panel

func (p *Panel) schedulerRoutes() []route { return nil }
