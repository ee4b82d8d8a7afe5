package panel

func (p *Panel) collectionsRoutes() []route { return nil }
