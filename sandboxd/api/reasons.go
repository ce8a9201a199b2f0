package api

// Domain is the domain of every ErrorInfo.
const Domain = "agentfense"

// The reasons of errors. They are part of the wire contract: clients match
// them, so a name never changes its meaning.
const (
	// The request itself.
	ReasonMissingField     = "MISSING_FIELD"      // field
	ReasonInvalidField     = "INVALID_FIELD"      // field
	ReasonInvalidPath      = "INVALID_PATH"       // path
	ReasonInvalidRule      = "INVALID_RULE"       // rule, index
	ReasonInvalidPolicy    = "INVALID_POLICY"     // codebase_id
	ReasonInvalidPageToken = "INVALID_PAGE_TOKEN" // -
	ReasonUnexpectedStep   = "UNEXPECTED_STEP"    // -
	ReasonNotImplemented   = "NOT_IMPLEMENTED"    // -
	ReasonUnauthenticated  = "UNAUTHENTICATED"    // -
	ReasonLocalOnly        = "LOCAL_ONLY"         // -

	// What it names.
	ReasonSandboxNotFound   = "SANDBOX_NOT_FOUND"   // sandbox_id
	ReasonCodebaseNotFound  = "CODEBASE_NOT_FOUND"  // codebase_id
	ReasonSessionNotFound   = "SESSION_NOT_FOUND"   // session_id
	ReasonProcessNotFound   = "PROCESS_NOT_FOUND"   // process_id
	ReasonFileNotFound      = "FILE_NOT_FOUND"      // path, codebase_id or sandbox_id
	ReasonNotAFile          = "NOT_A_FILE"          // path
	ReasonNotADirectory     = "NOT_A_DIRECTORY"     // path
	ReasonDirectoryNotEmpty = "DIRECTORY_NOT_EMPTY" // path
	ReasonRenameImpossible  = "RENAME_IMPOSSIBLE"   // path, sandbox_id
	ReasonPermissionDenied  = "PERMISSION_DENIED"   // operation, path, rule, sandbox_id
	ReasonDirectoryNotFound = "DIRECTORY_NOT_FOUND" // path
	ReasonDirectoryMismatch = "DIRECTORY_MISMATCH"  // path
	ReasonFileUnreadable    = "FILE_UNREADABLE"     // path
	ReasonFileChanged       = "FILE_CHANGED"        // path

	// Sandboxes.
	ReasonSandboxNotRunning = "SANDBOX_NOT_RUNNING" // sandbox_id, status
	ReasonSandboxRunning    = "SANDBOX_RUNNING"     // sandbox_id, status
	ReasonStartFailed       = "START_FAILED"        // sandbox_id
	ReasonRuntimeMissing    = "RUNTIME_UNAVAILABLE" // runtime
	ReasonImageMissing      = "IMAGE_UNAVAILABLE"   // image, sandbox_id
	ReasonLossNotAccepted   = "LOSS_NOT_ACCEPTED"   // loss, consequence, fix, codebase_id or sandbox_id

	// Commands.
	ReasonCommandTimeout       = "COMMAND_TIMEOUT"        // command, timeout, sandbox_id
	ReasonCommandNotFound      = "COMMAND_NOT_FOUND"      // command, sandbox_id
	ReasonCommandNotExecutable = "COMMAND_NOT_EXECUTABLE" // command, sandbox_id
	ReasonCommandTooLong       = "COMMAND_TOO_LONG"       // command, sandbox_id
	ReasonWorkdirNotFound      = "WORKDIR_NOT_FOUND"      // path, sandbox_id
	ReasonCommandEnded         = "COMMAND_ENDED"          // sandbox_id, process_id
	ReasonTakenOver            = "TAKEN_OVER"             // process_id

	// Sessions.
	ReasonSessionClosed = "SESSION_CLOSED" // session_id, sandbox_id

	// Commits.
	ReasonCommitConflict    = "COMMIT_CONFLICT"    // paths, count, sandbox_id, codebase_id
	ReasonDiscardImpossible = "DISCARD_IMPOSSIBLE" // path, sandbox_id
	ReasonCommitFailed      = "COMMIT_FAILED"      // sandbox_id, codebase_id

	// The daemon.
	ReasonLimitExceeded = "LIMIT_EXCEEDED" // resource, limit
	ReasonDiskFull      = "DISK_FULL"      // -
	ReasonCancelled     = "CANCELLED"      // -
	ReasonCallTimeout   = "CALL_TIMEOUT"   // -
	ReasonShuttingDown  = "SHUTTING_DOWN"  // -
	ReasonInternal      = "INTERNAL"       // -
)

// The keys of ErrorInfo.metadata.
const (
	keySandbox   = "sandbox_id"
	keyCodebase  = "codebase_id"
	keySession   = "session_id"
	keyProcess   = "process_id"
	keyPath      = "path"
	keyPaths     = "paths" // JSON list of strings, the first of them
	keyCount     = "count" // how many there are in all
	keyRule      = "rule"  // the rule's pattern
	keyIndex     = "rule_index"
	keyPreset    = "rule_preset"
	keyOperation = "operation"
	keyResource  = "resource" // the name of the limit
	keyLimit     = "limit"    // its value
	keyTimeout   = "timeout"  // seconds
	keyCommand   = "command"
	keyField     = "field"
	keyStatus    = "status"
	keyRuntime   = "runtime"
	keyImage     = "image"
	keyLoss      = "loss" // its name
	keyFix       = "fix"
	keyErrno     = "errno" // its name, as in errno(3)

	keyConsequence = "consequence"
)
