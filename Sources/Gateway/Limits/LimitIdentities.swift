internal import ChimeraConfiguration

/// What tells each `limit` line of a site from the others: what it says and under which route it stands, and not on which
/// line of the file, so that what was counted goes on where a reload finds the line elsewhere.
///
/// Of lines that are equal in all of that the first is the first of the next version too. A line that counts for several
/// routes, since its statement has several patterns, is one.
struct LimitIdentities {
    /// The same for the same limit in every version of a site, on every worker of the process.
    struct Identity: Hashable {
        fileprivate let line: Line
        /// How many equal ones stand before it.
        fileprivate let ordinal: Int
    }

    fileprivate enum Line: Hashable {
        case requests(RequestLimit, Scope)
        case connections(ConnectionLimit, Scope)
    }

    /// Under what a line stands.
    fileprivate enum Scope: Hashable {
        /// The site, the tenant or the machine, as the limit itself says.
        case whole
        case block(String, [String])
        case route(String, [String])
    }

    private var requests: [RequestLimit: Identity] = [:]
    private var connections: [ConnectionLimit: Identity] = [:]
    private var counts: [Line: Int] = [:]

    private static let nowhere = SourcePosition.whole("")

    /// Of settings outside of any site.
    init(_ settings: Settings) {
        note(settings, .whole)
    }

    init(_ site: Site) {
        note(site.settings, .whole)
        for block in site.settingsBlocks { note(block.settings, .block(block.pattern.text, block.methods)) }
        for route in site.routes { note(route.settings, .route(route.text, route.methods)) }
    }

    private mutating func note(_ settings: Settings, _ scope: Scope) {
        for limit in settings.requestLimits where requests[limit] == nil {
            var plain = limit
            plain.position = Self.nowhere
            requests[limit] = identity(.requests(plain, scope))
        }
        for limit in settings.connectionLimits where connections[limit] == nil {
            var plain = limit
            plain.position = Self.nowhere
            connections[limit] = identity(.connections(plain, scope))
        }
    }

    private mutating func identity(_ line: Line) -> Identity {
        let ordinal = counts[line, default: 0]
        counts[line] = ordinal + 1
        return Identity(line: line, ordinal: ordinal)
    }

    subscript(limit: RequestLimit) -> Identity? { requests[limit] }

    subscript(limit: ConnectionLimit) -> Identity? { connections[limit] }
}
