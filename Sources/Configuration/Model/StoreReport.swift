/// Something that is wrong with the last good versions that are kept, or was at the start.
package struct StoreReport: Sendable, Hashable, CustomStringConvertible {
    /// Whom it concerns; nil: all.
    package var tenant: String?
    /// One sentence without a full stop.
    package var text: String

    /// As it is printed, with the tenant.
    package var description: String {
        Shown.text(tenant.map { "tenant \($0): \(text)" } ?? text)
    }
}

/// What came of keeping last good versions.
package struct StoreOutcome: Sendable {
    /// Another process has the store, or not all of it was looked at: another try is due.
    package var isUnfinished = false
    /// All that is wrong.
    package var reports: [StoreReport] = []
    /// What was not said before.
    package var news: [StoreReport] = []
}
