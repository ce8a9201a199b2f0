// Package delta turns what a sandbox changed into changes of its codebase.
//
// A sandbox writes to the upper directory of an overlayfs mount. A [Differ]
// compares that directory with the snapshot below it and lists the difference
// as [Change]s, each with the verdict of the policy. [Store] puts the content
// of changed files where the codebase's objects are, and [Merge], which is
// pure, makes the tree of a new snapshot out of them.
//
// The package promises:
//
//   - the upper directory is read as hostile data that may change meanwhile: no
//     link in it is followed, no special file opened, nothing outside reached;
//   - an entry of the snapshot that the policy hides is never reported, changed
//     or deleted, whatever happened to the directories around it;
//   - a Merge applies all changes that it reports as applied, or nothing.
//
// # How overlayfs writes it down
//
//	character device 0/0          whiteout: the name is deleted
//	trusted.overlay.opaque = "y"  nothing of the lower directory shows through
//	anything else                 added, or a copy that was changed or only touched
package delta
