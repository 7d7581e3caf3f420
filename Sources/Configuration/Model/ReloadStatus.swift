/// What is in service, and how it came there: for `chimera status`, the metrics and the log.
///
/// A value of one moment. Times are milliseconds since 1970.
package struct ReloadStatus: Sendable, Equatable {
    /// What made the gateway read its configuration.
    package enum Cause: String, Sendable, CaseIterable {
        case start
        /// SIGHUP
        case signal
        /// The directory of the files changed.
        case watch
        /// `chimera reload`
        case command
    }

    package enum Outcome: String, Sendable, CaseIterable {
        /// At least one site is another now, or one came or went, or the machine's own settings changed. Tenants whose
        /// files have errors are no hindrance: see `tenants`.
        case applied
        /// Nothing that counts has changed.
        case unchanged
        /// The machine's file, or a directory that it names, cannot be used: all goes on as before.
        case failed
    }

    /// How many times the configuration was read, the start included; 0 before that.
    package var reloads = 0
    package var cause = Cause.start
    package var outcome = Outcome.unchanged
    /// When the last reload ended, whatever came of it; 0 before the first.
    package var finishedAt: Int64 = 0
    /// When the last reload ended that did not fail.
    package var succeededAt: Int64 = 0
    /// How long the last reload took, from the first look at the disk until the workers had been told.
    package var durationMilliseconds: Int64 = 0
    /// Sites in service, the machine's own included.
    package var sites = 0
    /// Sites that the last reload added, replaced or took away.
    package var changedSites = 0
    /// What is wrong with the machine's file, where the last reload failed.
    package var machineErrors: [Diagnostic] = []
    /// Every tenant that has a file, by id.
    package var tenants: [TenantStatus] = []
    /// Why files are nobody's that a pattern names: each has the stem of another one.
    package var refusedFiles: [Diagnostic] = []
    /// What is wrong with the last good versions that are kept.
    package var store: [StoreReport] = []

    package init() {}

    /// Tenants that serve an older version than their file's.
    package var olderTenants: [TenantStatus] { tenants.filter { $0.service == .lastGood } }
    /// Tenants that do not serve at all.
    package var absentTenants: [TenantStatus] { tenants.filter { $0.service == .none } }
}

/// One tenant's part of `ReloadStatus`.
package struct TenantStatus: Sendable, Equatable {
    package enum Service: String, Sendable, CaseIterable {
        /// What the file says.
        case current
        /// The last version without errors, since the file has some.
        case lastGood = "last-good"
        /// Nothing: the file has errors, and no version before was good.
        case none
    }

    /// The stem of the file.
    package var id: String
    /// The file as messages show it.
    package var file: String
    package var service: Service
    /// When the version that serves came into service in this process; 0 where none does.
    package var servedSince: Int64
    /// When the file was last read; it is read where it, or what it refers to, has changed.
    package var readAt: Int64
    /// Why the file's own version does not serve; empty where it does.
    package var errors: [Diagnostic]

    package init(
        id: String, file: String, service: Service, servedSince: Int64, readAt: Int64,
        errors: [Diagnostic] = []
    ) {
        self.id = id
        self.file = file
        self.service = service
        self.servedSince = servedSince
        self.readAt = readAt
        self.errors = errors
    }
}
