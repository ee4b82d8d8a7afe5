package panel

func (p *Panel) peopleRoutes() []route { return nil }
