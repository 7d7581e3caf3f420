internal import ChimeraBytes

/// What a tenant may do, and what it owns.
struct TenantRails {
    /// What binds the file.
    var permits: Permits
    /// What belongs to the tenant beside its file, and what `under=` permits.
    var places: [OwnedPlace]
    /// As messages name it: `shop/, shop.*`
    var placesText: String
}

/// The `tenants` and `tenant` blocks, as the machine's file is decoded.
extension FileDecoder {
    func guardRails(_ arguments: Arguments, _ rails: inout GuardRails) {
        let position = current.position(arguments.keyword)
        var permits = Permits(position: position)
        let id = arguments.text("ID")
        if let id, rails.own[id] != nil {
            report(arguments.keyword, "`tenant \(id)` stands here twice", other: rails.own[id]?.position)
            return
        }
        decode(expanded(arguments.statement.block ?? []), in: id == nil ? .tenants : [.tenants, .tenant]) {
            row, inner in
            if case .permits(let effect) = row.effect { effect(inner, self, &permits) }
        }
        if let id { rails.own[id] = permits } else { rails.common = permits }
    }

    func permit(_ arguments: Arguments, _ permits: inout Permits) {
        guard let what = arguments.text("WHAT") else { return }
        let names = arguments.all("NAME")
        if what == "env" {
            if names.isEmpty { report(arguments.keyword, "`permit env` needs at least one NAME") }
            for item in names { permits.environment.insert(item.token.text) }
        } else if let extra = names.first {
            report(
                extra.token,
                "\"\(extra.token.text)\" is one word too many: permit \(what) [under=PATH] [to=CIDR]")
        } else {
            permits.verbs.insert(what)
        }
        for item in arguments.all("under") {
            guard case .text(let path) = item.value else { continue }
            let absolute = resolve(path)
            guard let real = session.realPath(of: absolute) else {
                warn(item.token, "the directory \"\(path)\" does not exist")
                permits.under.append(absolute)
                continue
            }
            permits.under.append(real)
        }
        for item in arguments.all("to") {
            guard case .outgoing(let outgoing) = item.value else { continue }
            switch outgoing {
            case .addresses(let block): permits.addresses.append(block)
            case .socket(let path): permits.sockets.insert(path)
            }
        }
    }

    /// `to=10.0.0.0/8` or `to=unix:/path`.
    func outgoing(_ token: Token) -> Value? {
        if token.text.hasPrefix("unix:") {
            let path = String(token.text.dropFirst(5))
            guard path.hasPrefix("/") else {
                report(token, "a socket's path begins with / here")
                return nil
            }
            return .outgoing(.socket(path: resolve(path)))
        }
        guard let block = CIDR(token.text) else {
            reportMismatch(token, ValueType.outgoing.description)
            return nil
        }
        warnOfHostBits(token.text, block, token)
        return .outgoing(.addresses(block))
    }
}

/// What is refused to a tenant's file. What stands in a shared block of the machine's file is the operator's word, and
/// is not bound.
extension FileDecoder {
    private var bound: TenantRails? {
        guard let rails, current === source else { return nil }
        return rails
    }

    private var binding: TenantRails? { bound.flatMap { $0.permits.bindsVerbs ? $0 : nil } }

    /// An error that no older version of the file is excused from.
    private func deny(_ token: Token, _ message: String, _ suggestions: [String] = [], other: SourcePosition?)
    {
        denials += 1
        report(token, message, suggestions, other: other)
    }

    /// Whether the tenant may use a verb; a message if not.
    func isPermitted(verb: String, _ token: Token) -> Bool {
        guard let rails = binding, !Permits.free.contains(verb), !rails.permits.verbs.contains(verb) else {
            return true
        }
        deny(
            token,
            "`\(verb)` is not permitted to this tenant: the machine's file has no `permit \(verb)` for it",
            [],
            other: rails.permits.position)
        return false
    }

    func isPermitted(environment name: String, _ token: Token) -> Bool {
        isPermitted(
            name, among: \.environment, "`env:\(name)`", by: "permit env \(name)", written: "env:", token)
    }

    func isPermitted(socket path: String, _ token: Token) -> Bool {
        isPermitted(path, among: \.sockets, "this socket", by: "to=unix:\(path)", written: "unix:", token)
    }

    /// Whether the machine's file names something for the tenant; a message if not.
    private func isPermitted(
        _ name: String, among names: KeyPath<Permits, Set<String>>, _ what: String, by rule: String,
        written prefix: String, _ token: Token
    ) -> Bool {
        guard let rails = binding, !rails.permits[keyPath: names].contains(name) else { return true }
        deny(
            token, "\(what) is not permitted to this tenant: the machine's file has no `\(rule)` for it",
            NearMiss.suggestions(for: name, among: rails.permits[keyPath: names]).map { prefix + $0 },
            other: rails.permits.position)
        return false
    }

    func isPermitted(_ address: IPAddress, _ token: Token) -> Bool {
        guard let rails = binding, let reach = rails.permits.reach else { return true }
        if reach.contains(where: { $0.contains(address) }) { return true }
        let all = reach.map(\.description).joined(separator: ", ")
        deny(
            token, "\(address) is not permitted to this tenant: its connections may lead to \(all)", [],
            other: rails.permits.position)
        return false
    }

    /// Where a target's connections may lead; nil: anywhere.
    var reach: [CIDR]? { binding?.permits.reach }

    /// The places in which a file has to be; nil: it may be anywhere.
    var confinement: [OwnedPlace]? { binding?.places }

    /// What of the tenant's own holds a directory; `.some(nil)`: it may be anywhere; nil after a message.
    func top(holding path: String, _ token: Token) -> String?? {
        guard let rails = binding else { return .some(nil) }
        if let real = session.realPath(of: path) {
            for place in rails.places {
                if let top = place.top(holding: real) { return .some(top) }
            }
        } else if !path.hasDotDot {
            // Nothing is there, which another message says where it counts; what comes there has to stay inside too.
            for place in rails.places {
                if let top = place.top(holding: path) { return .some(top) }
            }
        }
        denyPlace(token)
        return nil
    }

    func denyPlace(_ token: Token) {
        guard let rails = bound else { return }
        let shown = secretSource(token) == nil ? "\"\(token.text)\"" : "this path"
        deny(
            token, "\(shown) leads out of what belongs to this tenant: \(rails.placesText)", [],
            other: rails.permits.position)
    }

    /// Whether a limit is no wider than the machine's; a message if it is.
    func isWithin(_ bound: KeyPath<Permits, Int64?>, _ bytes: Int64, _ token: Token) -> Bool {
        guard let rails = self.bound, let most = rails.permits[keyPath: bound], bytes > most else {
            return true
        }
        deny(
            token, "\"\(token.text)\" is more than the machine's file lets this tenant have: \(most) bytes",
            [],
            other: rails.permits.position)
        return false
    }
}

extension String {
    fileprivate var hasDotDot: Bool {
        utf8.split(separator: UInt8(ascii: "/")).contains { $0.elementsEqual("..".utf8) }
    }
}

extension GuardRails {
    /// What binds a tenant's file and what belongs to it.
    /// - Parameters:
    ///   - directory: where the file is, without links.
    ///   - others: ids that begin with this one's and a dot: what is named for them is theirs.
    func rails(of id: String, in directory: String, others: [String]) -> TenantRails? {
        guard let permits = permits(of: id) else { return nil }
        let prefix = directory == "/" ? "/" : directory + "/"
        let own = OwnedPlace(path: prefix + id, withSuffixes: true, without: others.map { prefix + $0 })
        let under = permits.under.map { OwnedPlace(path: $0) }
        let text = (["\(id)/", "\(id).*"] + permits.under).joined(separator: ", ")
        return TenantRails(permits: permits, places: [own] + under, placesText: text)
    }
}
