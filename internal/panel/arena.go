package panel

func (p *Panel) arenaRoutes() []route { return nil }
