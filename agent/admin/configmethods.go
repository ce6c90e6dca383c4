package admin

import "context"

func addConfigMethods(r *Registry, b Backend) {
	r.Add(Method{Name: "config.diff", Summary: "what a reload would change", ReadOnly: true,
		Handle: func(ctx context.Context, _ Args) (any, error) {
			report, err := b.ConfigDiff(ctx)
			return report, configError(err)
		}})
}
