/// Reading the tenants' files: what is the same as before is not decoded again.
extension LiveConfiguration {
    /// One tenant as the last reading left it.
    struct Tenant {
        var file: MachineLoad.TenantFile
        /// See `DottedIDs`.
        var others: [String] = []
        /// Of the file.
        var decoding: Decoding?
        /// Of the last good version, where today's rules refuse it.
        var refused: Decoding?
        var served: TenantVersion?
        /// Of the last look at the hosts.
        var conflicts: [Diagnostic] = []
        /// Why the last good version does not serve either.
        var lastGoodErrors: [Diagnostic] = []
        var servedSince: Int64 = 0
        var readAt: Int64 = 0
        /// How often in a row the file was empty and just changed.
        var emptyLooks = 0

        init(file: MachineLoad.TenantFile) { self.file = file }

        /// What the file says, where that has no error.
        var candidate: TenantVersion? { decoding?.version }

        var allDiagnostics: [Diagnostic] { (decoding?.diagnostics ?? []) + conflicts + lastGoodErrors }

        /// How many files it names, itself included.
        var namedFiles: Int { 1 + (decoding?.key.fileCount ?? 0) }

        var status: TenantStatus {
            let isCurrent = served != nil && served === candidate
            return TenantStatus(
                id: file.id, file: file.name,
                service: served == nil ? .none : isCurrent ? .current : .lastGood,
                servedSince: servedSince, readAt: readAt,
                errors: isCurrent ? [] : allDiagnostics.filter { $0.severity == .error })
        }
    }

    func read(_ files: TenantFiles, _ round: inout Round) {
        let dotted = DottedIDs(files.all.map(\.id))
        round.refusals = files.refusals
        for file in files.chosen {
            pause()
            var tenant = world.tenants[file.id] ?? Tenant(file: file)
            tenant.file = file
            tenant.others = dotted.below(file.id)
            tenant.conflicts = []
            tenant.lastGoodErrors = []
            if tenant.served != nil, isBeingWritten(file.path), tenant.emptyLooks < Self.emptyLooksMax {
                tenant.emptyLooks += 1
                round.isUnsettled = true
            } else if !isUnchanged(tenant, round) {
                decodeFile(of: &tenant, round)
            }
            round.order.append(file.id)
            round.wanted[file.id] = tenant.candidate ?? fallback(&tenant, round)
            round.tenants[file.id] = tenant
        }
    }

    /// A file that is empty, and was not a moment ago, is one that somebody is about to fill.
    private func isBeingWritten(_ path: String) -> Bool {
        guard let stamp = fileSystem.stamp(of: path) else { return false }
        return stamp.size == 0 && !stamp.isSettled
    }

    private func isUnchanged(_ tenant: Tenant, _ round: Round) -> Bool {
        guard let key = tenant.decoding?.key, key.path == tenant.file.path, key.context == round.context,
            key.others == tenant.others, digests.digest(key.path, atMost: limits.fileBytes) == key.content
        else { return false }
        return key.references.allSatisfy { reference, digest in self.digest(of: reference, round) == digest }
    }

    private func digest(of reference: Dependency, _ round: Round) -> ContentDigest {
        switch reference {
        case .file(let path): digests.digest(path, atMost: limits.referencedFileBytes)
        case .kind(let path): ContentDigest(fileSystem.kind(of: path)?.rawValue ?? "")
        case .place(let path), .refused(let path): ContentDigest(round.session.placed(path) ?? "")
        case .environment(let name): ContentDigest(environment(name).map { "=" + $0 } ?? "")
        }
    }

    private func decodeFile(of tenant: inout Tenant, _ round: Round) {
        let file = tenant.file
        let (result, digest) = digests.content(file.path, atMost: limits.fileBytes)
        tenant.readAt = clock()
        tenant.emptyLooks = 0
        switch result {
        case .success(let content):
            let bundle = TenantBundle(name: file.name, path: file.path, source: content)
            tenant.decoding = decode(bundle, digest, of: tenant, round, session: round.session)
        case .failure(let failure):
            let key = TenantKey(
                path: file.path, content: digest, context: round.context, others: tenant.others)
            tenant.decoding = Decoding(
                key: key, diagnostics: [ConfigurationLoader.unreadable(file.name, failure)])
        }
    }

    private func decode(
        _ bundle: TenantBundle, _ digest: ContentDigest, of tenant: Tenant, _ round: Round,
        session: LoadSession
    ) -> Decoding {
        session.beginRecording()
        let source = session.source(bundle.name, path: bundle.path, bytes: bundle.source)
        let load = TenantLoad(
            source, id: tenant.file.id, machine: round.machine, others: tenant.others, session: session)
        let record = session.recorded()
        let key = TenantKey(
            path: bundle.path, content: digest, context: round.context, others: tenant.others,
            references: record.references)
        let diagnostics = load.decoder.sortedDiagnostics
        guard !load.decoder.hasErrors else {
            return Decoding(key: key, diagnostics: diagnostics, isDenied: load.decoder.denials > 0)
        }
        var bundle = bundle
        bundle.contents = record.contents
        bundle.kinds = record.kinds
        let identity = SiteIdentity((tenant.served ?? tenant.candidate)?.sites ?? [])
        let version = TenantVersion(bundle, sites: load.sites.map(identity.shared), key: key)
        return Decoding(key: key, version: version, diagnostics: diagnostics)
    }

    // MARK: - Last good versions

    /// What serves in the place of a file that cannot: what served before, decoded anew where something else binds it
    /// now, since the guard rails of today bind old versions too.
    func fallback(_ tenant: inout Tenant, _ round: Round) -> TenantVersion? {
        if let served = tenant.served, isBoundAsBefore(served.key, tenant, round) { return served }
        guard let bundle = tenant.served?.bundle ?? kept(&tenant) else { return nil }
        let decoding = lastGood(bundle, tenant, round)
        if let version = decoding.version { return version }
        tenant.refused = decoding
        let said = tenant.decoding?.diagnostics ?? []
        tenant.lastGoodErrors += decoding.diagnostics.filter { $0.severity == .error && !said.contains($0) }
        return decoding.isDenied ? nil : tenant.served
    }

    /// Whether the machine's file is the same, the tenant owns the same folders, and its paths lead where they led.
    private func isBoundAsBefore(_ key: TenantKey, _ tenant: Tenant, _ round: Round) -> Bool {
        guard key.context == round.context, key.others == tenant.others else { return false }
        return key.references.allSatisfy { reference, digest in
            guard case .place = reference else { return true }
            return self.digest(of: reference, round) == digest
        }
    }

    /// What the store has; an error where that is damaged or cannot be read.
    private func kept(_ tenant: inout Tenant) -> TenantBundle? {
        guard let keeper else { return nil }
        let id = tenant.file.id
        let problem: String
        switch keeper.store.bundle(of: id) {
        case .whole(let bundle): return bundle
        case .nothing: return nil
        case .damaged: problem = "is damaged"
        case .unreadable(let failure):
            keeper.lookAgain(at: id, failure)
            problem = failure.reason
        }
        tenant.lastGoodErrors.append(
            Diagnostic(
                .error, at: .whole(tenant.file.name),
                "the last good version \(keeper.store.path(of: id)) \(problem)"))
        return nil
    }

    /// The version decoded by today's rules, or why these refuse it, as was found before.
    private func lastGood(_ bundle: TenantBundle, _ tenant: Tenant, _ round: Round) -> Decoding {
        let digest = bundle.digest
        if let refused = tenant.refused, refused.key.content == digest,
            refused.key.context == round.context, refused.key.others == tenant.others,
            refused.key.references.allSatisfy({
                bundle.has($0.key) || self.digest(of: $0.key, round) == $0.value
            })
        {
            return refused
        }
        let session = LoadSession(
            fileSystem: BundleFileSystem(bundle: bundle, disk: fileSystem), environment: environment,
            limits: limits)
        return decode(bundle, digest, of: tenant, round, session: session)
    }
}
