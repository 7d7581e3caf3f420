/// The bounds of the language: what passes one is an error with a position, never a slow or a failing process.
package struct ConfigurationLimits: Sendable {
    /// Bytes of one configuration file.
    package var fileBytes = 8 << 20
    /// Bytes of a file that `file:`, `error`, `closed` or `auth basic` names.
    package var referencedFileBytes = 1 << 20
    /// Bytes of one word.
    package var wordBytes = 16 << 10
    /// Words of one statement.
    package var statementWords = 1024
    /// Blocks within blocks.
    package var nestingDepth = 16
    /// Statements of one file. Those that `use` brings in, and those under several patterns, count each time.
    package var statements = 200_000
    /// Errors of one file, and warnings of one file; what comes after is not reported.
    package var diagnosticsPerFile = 100
    /// Files that the `import` lines name.
    package var tenantFiles = 100_000
    /// Pairs of routes of one site that the check for escaping paths compares.
    package var comparedRoutes = 2_000_000

    package init() {}
}
