package import ChimeraBytes

/// `auth basic FILE` or `auth off`.
package struct AuthSetting: Sendable, Hashable {
    package enum Kind: Sendable, Hashable {
        /// The password file in htpasswd's form, and the realm that a client is shown.
        case basic(file: ReferencedFile, realm: String)
        case off
    }

    package var kind: Kind
    /// Whose file says so: a tenant, or empty for the machine. `off` lifts only what the same owner set.
    package var owner: String
    package var position: SourcePosition

    package init(_ kind: Kind, owner: String, position: SourcePosition) {
        self.kind = kind
        self.owner = owner
        self.position = position
    }

    static func merge(_ general: AuthSetting?, _ specific: AuthSetting?) -> AuthSetting? {
        guard let specific else { return general }
        if case .off = specific.kind, let general, general.kind != .off, general.owner != specific.owner {
            return general
        }
        return specific
    }
}

/// One `allow` or `deny`, of one of its values.
package struct AccessRule: Sendable, Hashable {
    package enum Verdict: String, Sendable { case allow, deny }
    package enum Subject: Sendable, Hashable {
        case all
        case clients(CIDR)
        case matcher(MatcherUse)
    }

    package var verdict: Verdict
    package var subject: Subject
    package var position: SourcePosition

    package init(_ verdict: Verdict, _ subject: Subject, position: SourcePosition) {
        self.verdict = verdict
        self.subject = subject
        self.position = position
    }
}

/// The `allow`, `deny` and `satisfy` lines of one owner. Of the same owner they add up; no owner can widen what another
/// one restricts.
package struct AccessGroup: Sendable, Hashable {
    /// A tenant, or empty for the machine.
    package var owner: String
    package var rules: [AccessRule]
    /// `satisfy any`: a client that `allow` admits needs no password, and one with a password needs no `allow`.
    package var satisfyAny: Bool

    package init(owner: String, rules: [AccessRule] = [], satisfyAny: Bool = false) {
        self.owner = owner
        self.rules = rules
        self.satisfyAny = satisfyAny
    }

    var allowsAll: Bool { rules.contains { $0.verdict == .allow && $0.subject == .all } }

    static func merge(_ specific: AccessGroup, into groups: inout [AccessGroup]) {
        guard let index = groups.firstIndex(where: { $0.owner == specific.owner }) else {
            groups.append(specific)
            return
        }
        groups[index].rules = specific.allowsAll ? specific.rules : groups[index].rules + specific.rules
        groups[index].satisfyAny = groups[index].satisfyAny || specific.satisfyAny
    }
}

/// What the access rules say about a request, before any password is looked at.
package enum Admission: Sendable, Hashable {
    /// Goes on without a password.
    case open
    /// Goes on with a valid password; 401 otherwise.
    case passwordNeeded
    /// 403.
    case refused
}

extension Settings {
    /// Applies `deny` first, then `allow`, `auth` and `satisfy any`.
    /// - Parameter matches: whether a subject covers the request.
    package func admission(_ matches: (AccessRule.Subject) -> Bool) -> Admission {
        var hasAuth = false
        if let auth, auth.kind != .off { hasAuth = true }
        var isWaived = false
        var isRequired = false
        for group in access {
            var hasAllow = false
            var isAllowed = false
            for rule in group.rules where rule.verdict == .deny && matches(rule.subject) { return .refused }
            for rule in group.rules where rule.verdict == .allow {
                hasAllow = true
                if matches(rule.subject) { isAllowed = true }
            }
            guard hasAllow else { continue }
            switch (isAllowed, group.satisfyAny && hasAuth) {
            case (true, true): isWaived = isWaived || auth?.owner == group.owner
            case (true, false): break
            case (false, true): isRequired = true
            case (false, false): return .refused
            }
        }
        return hasAuth && (isRequired || !isWaived) ? .passwordNeeded : .open
    }
}
