package panel

func (p *Panel) auditRoutes() []route { return nil }
