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
    /// Another process has the store, or not all of it was looked at or written: another try is due soon.
    package var isUnfinished = false
    /// Something could not be read or written: another try is due, after a while.
    package var hasFailures = false
    /// What could not be read before can be now, so that another reading of the configuration may serve more.
    package var hasFoundMore = false
    /// All that is wrong.
    package var reports: [StoreReport] = []
    /// What was not said before.
    package var news: [StoreReport] = []
}
