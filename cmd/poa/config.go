package main

type configCommand struct {
	Print configPrintCommand `cmd:"" help:"Print every setting as YAML that can be used as a config file, with the source of each value."`
}

type configPrintCommand struct{}

func (c *configPrintCommand) Run(m *Main) error {
	if m.cli.JSON {
		return m.printJSON(m.config.Values)
	}
	return m.config.Print(m.Stdout)
}
