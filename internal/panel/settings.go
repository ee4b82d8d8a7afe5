package panel

func (p *Panel) settingsRoutes() []route { return nil }
