internal import COpenSSL

/// Which versions and ciphers are offered: Mozilla's names and lists.
package enum TLSProfile: String, Sendable, CaseIterable {
    /// TLS 1.2 and 1.3, with forward secrecy and authenticated ciphers only.
    case intermediate
    /// TLS 1.3 alone.
    case modern

    var leastVersion: Int32 { self == .modern ? TLS1_3_VERSION : TLS1_2_VERSION }
}

/// What one worker offers and asks for under one site's names.
package final class TLSSite {
    /// Where certificates come from.
    package enum Certificates {
        /// Of each kind of key the one for the name that is asked for, by the name itself before by a wildcard, else the
        /// first.
        case fixed([ServerCertificate])
        /// One for each name that is asked for; nil: there is none for it.
        case issued((_ serverName: [UInt8]) -> ServerCertificate?)
    }

    /// What the site asks of its clients beyond others, as a number that is the same for sites that ask for the same:
    /// a connection that was made for one of them may carry requests for the others.
    package let demand: UInt64
    private let certificates: Certificates
    private let profile: TLSProfile
    private let clients: ClientTrust?
    /// Whether clients are asked for a certificate.
    var asksForCertificates: Bool { clients != nil }
    /// What tells the site's tickets from those of others.
    private let binding: [UInt8]
    private let tickets: TicketSecret
    private var sealing: TicketKeys?
    private var opening: TicketKeys?
    private var lastName: [UInt8] = []

    /// - Parameters:
    ///   - identity: what is the site's alone: its tickets are worth nothing where that is another.
    package init(
        certificates: Certificates, profile: TLSProfile = .intermediate, clients: ClientTrust? = nil,
        identity: [UInt8], tickets: TicketSecret
    ) {
        self.certificates = certificates
        self.profile = profile
        self.clients = clients
        self.tickets = tickets
        let asked = Self.demands(profile, clients?.identity)
        binding = TicketSecret.hmac(Self.zeros, Array("\(identity.count) ".utf8) + identity + asked)
        demand = Self.demand(profile: profile, clients: clients?.identity)
    }

    private static let zeros = [UInt8](repeating: 0, count: 32)

    private static func demands(_ profile: TLSProfile, _ clients: [UInt8]?) -> [UInt8] {
        Array("\(profile.rawValue) ".utf8) + (clients ?? [])
    }

    /// See `demand`; 0 for a site that asks for nothing special.
    ///
    /// - Parameter clients: `ClientTrust.identity`.
    package static func demand(profile: TLSProfile, clients: [UInt8]?) -> UInt64 {
        if profile == .intermediate && clients == nil { return 0 }
        let digest = TicketSecret.hmac(zeros, demands(profile, clients))
        return digest.prefix(8).reduce(0) { $0 << 8 | UInt64($1) } | 1
    }

    // MARK: While a handshake asks

    /// The same name; connections that ask for the same one after the other have it once in memory.
    func shared(_ serverName: [UInt8]) -> [UInt8] {
        if serverName != lastName { lastName = serverName }
        return lastName
    }

    /// The name is known: what follows is for this site. Before any session is looked at.
    func greet(_ ssl: OpaquePointer) {
        SSL_set_session_id_context(ssl, binding, UInt32(binding.count))
        if profile == .modern { chimera_tls_set_least_version(ssl, profile.leastVersion) }
        clients?.apply(to: ssl)
    }

    /// The handshake is a full one, which needs certificates.
    ///
    /// - Returns: whether there is one.
    func certify(_ ssl: OpaquePointer, serverName: [UInt8]) -> Bool {
        var isCertified = false
        for certificate in chosen(serverName)
        where chimera_tls_use(ssl, certificate.leaf, certificate.key, certificate.chain) == 1 {
            isCertified = true
        }
        // Why one was not taken is nothing that the client did.
        ERR_clear_error()
        return isCertified
    }

    /// The OCSP response of the certificate that was chosen, where there is one that a client can use.
    ///
    /// - Parameter now: seconds of the POSIX clock.
    func status(of leaf: OpaquePointer, now: Int64) -> [UInt8]? {
        guard case .fixed(let all) = certificates,
            let status = all.first(where: { $0.leaf == leaf })?.status, status.isUsable(at: now)
        else { return nil }
        return status.bytes
    }

    private func chosen(_ serverName: [UInt8]) -> [ServerCertificate] {
        switch certificates {
        case .fixed(let all): Self.choice(of: all, for: serverName)
        case .issued(let issue): issue(serverName).map { [$0] } ?? []
        }
    }

    /// Of each kind of key the one for that name, in the order in which they were given: the client's ciphers decide between
    /// them.
    package static func choice(
        of all: [ServerCertificate], for name: [UInt8]
    ) -> [ServerCertificate] {
        var kinds: [Int32] = []
        for certificate in all where !kinds.contains(certificate.keyKind) {
            kinds.append(certificate.keyKind)
        }
        return kinds.compactMap { kind in best(all.filter { $0.keyKind == kind }, for: name) }
    }

    private static func best(_ alike: [ServerCertificate], for name: [UInt8]) -> ServerCertificate? {
        guard alike.count > 1 else { return alike.first }
        return alike.first { $0.covers(name, exactly: true) }
            ?? alike.first { $0.covers(name, exactly: false) } ?? alike.first
    }

    // MARK: Tickets

    /// The keys that tickets are sealed with now.
    func sealingKeys(now: Int64) -> TicketKeys {
        // Also of a later period, where the clock was put back.
        if let sealing, sealing.period >= TicketSecret.period(at: now) { return sealing }
        let seeds = tickets.seeds(now: now)
        let made = TicketKeys(seeds.current, binding: binding)
        sealing = made
        opening = TicketKeys(seeds.before, binding: binding)
        return made
    }

    /// The keys of that name, and whether they are those of now; nil: they are no keys of this site, or forgotten.
    func keys(named name: UnsafeBufferPointer<UInt8>, now: Int64) -> (keys: TicketKeys, isCurrent: Bool)? {
        let current = sealingKeys(now: now)
        if current.name.elementsEqual(name) { return (current, true) }
        if let opening, opening.name.elementsEqual(name) { return (opening, false) }
        return nil
    }
}

/// Who signs the certificates of a site's clients, and whether they need one.
package final class ClientTrust {
    private let store: OpaquePointer
    private let names: OpaquePointer
    private let isRequired: Bool
    /// What the others belong to, and outlives them.
    private let library: CryptoLibrary?
    let identity: [UInt8]

    /// - Parameter authorities: certificates in PEM form.
    package init(
        authorities text: [UInt8], isRequired: Bool, library: CryptoLibrary? = nil
    ) throws(CertificateFault) {
        let certificates = try PEMReader(text).certificates(library)
        defer { certificates.forEach { X509_free($0) } }
        guard let store = X509_STORE_new() else { throw .unavailable }
        guard let names = chimera_names_new() else {
            X509_STORE_free(store)
            throw .unavailable
        }
        for certificate in certificates {
            X509_STORE_add_cert(store, certificate)
            chimera_names_push(names, X509_get_subject_name(certificate))
        }
        self.store = store
        self.names = names
        self.isRequired = isRequired
        self.library = library
        identity = Self.identity(authorities: text, isRequired: isRequired)
    }

    /// What tells one site's demand on clients from another's.
    package static func identity(authorities text: [UInt8], isRequired: Bool) -> [UInt8] {
        Array(isRequired ? "require ".utf8 : "optional ".utf8) + text
    }

    deinit {
        X509_STORE_free(store)
        chimera_names_free(names)
    }

    func apply(to ssl: OpaquePointer) { chimera_tls_set_trust(ssl, store, names, isRequired) }
}
