package docs

import (
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"strings"
	"testing"
)

// declared is one constant of a package.
type declared struct {
	expr    ast.Expr
	comment string // at the end of its line
}

// constants returns the constants that a directory's package declares.
func constants(t *testing.T, dir string) map[string]declared {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(repository(t), dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s has no Go files (%v)", dir, err)
	}
	found := map[string]declared{}
	fset := token.NewFileSet()
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(fset, name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			group, ok := d.(*ast.GenDecl)
			if !ok || group.Tok != token.CONST {
				continue
			}
			for _, s := range group.Specs {
				spec := s.(*ast.ValueSpec)
				for i, ident := range spec.Names {
					if i < len(spec.Values) {
						found[ident.Name] = declared{spec.Values[i], strings.TrimSpace(spec.Comment.Text())}
					}
				}
			}
		}
	}
	return found
}

// value computes a constant expression of literals.
func value(t *testing.T, expr ast.Expr) constant.Value {
	t.Helper()
	tv, err := types.Eval(token.NewFileSet(), nil, token.NoPos, types.ExprString(expr))
	if err != nil {
		t.Fatalf("cannot compute %s: %v", types.ExprString(expr), err)
	}
	return tv.Value
}
