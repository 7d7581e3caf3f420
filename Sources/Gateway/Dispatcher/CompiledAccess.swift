internal import ChimeraBytes
internal import ChimeraConfiguration
internal import ChimeraHTTPCore

/// The `allow`, `deny`, `auth` and `satisfy any` that count together, in the form in which one worker asks
/// them; it says what `Settings.admission` says.
struct CompiledAccess {
    private enum Subject {
        case all
        case clients(CIDR)
        case matcher(CompiledMatcherUse)
    }

    private struct Group {
        var allow: [Subject] = []
        var deny: [Subject] = []
        var satisfiesAny = false
        /// It is of the same owner as `auth`, so that it may waive the password.
        var ownsAuth = false
    }

    private let groups: [Group]
    private let hasAuth: Bool
    /// Nothing is asked of anybody.
    let isOpen: Bool

    init(_ settings: Settings, _ matcher: (MatcherUse) -> CompiledMatcherUse) {
        var hasAuth = false
        if let auth = settings.auth, auth.kind != .off { hasAuth = true }
        groups = settings.access.map { group in
            var compiled = Group()
            for rule in group.rules {
                let subject: Subject =
                    switch rule.subject {
                    case .all: .all
                    case .clients(let block): .clients(block)
                    case .matcher(let use): .matcher(matcher(use))
                    }
                if rule.verdict == .allow {
                    compiled.allow.append(subject)
                } else {
                    compiled.deny.append(subject)
                }
            }
            compiled.satisfiesAny = group.satisfyAny
            compiled.ownsAuth = settings.auth?.owner == group.owner
            return compiled
        }
        self.hasAuth = hasAuth
        isOpen = !hasAuth && groups.isEmpty
    }

    /// Applies `deny` first, then `allow`, `auth` and `satisfy any`.
    func admission(_ context: RequestContext, _ request: RequestHead) -> Admission {
        var isWaived = false
        var isRequired = false
        for group in groups {
            if CompiledAccess.covers(group.deny, context, request) { return .refused }
            if group.allow.isEmpty { continue }
            switch (CompiledAccess.covers(group.allow, context, request), group.satisfiesAny && hasAuth) {
            case (true, true): isWaived = isWaived || group.ownsAuth
            case (true, false): break
            case (false, true): isRequired = true
            case (false, false): return .refused
            }
        }
        return hasAuth && (isRequired || !isWaived) ? .passwordNeeded : .open
    }

    private static func covers(_ subjects: [Subject], _ context: RequestContext, _ request: RequestHead)
        -> Bool
    {
        for subject in subjects {
            switch subject {
            case .all: return true
            case .clients(let block):
                if let client = context.client, block.contains(client) { return true }
            case .matcher(let use):
                if use.holds(context, request) { return true }
            }
        }
        return false
    }
}
