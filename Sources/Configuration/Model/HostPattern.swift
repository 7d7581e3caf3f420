/// Which hosts a site answers to. Names are lowercase, in A-labels (RFC 5890), without port and trailing dot.
package enum HostPattern: Sendable, Hashable {
    case exact(String)
    /// `*.x`: exactly one label before `x`; the payload is `x`.
    case wildcard(String)
    /// `**.x`: one label or more before `x`; the payload is `x`.
    case deepWildcard(String)
    /// `*`: every host that no other site names.
    case any

    /// Whether a normalised host fits this pattern, seen alone.
    package func matches(_ host: String) -> Bool {
        switch self {
        case .exact(let name): return host == name
        case .any: return true
        case .wildcard(let suffix):
            guard let label = Self.prefix(of: host, before: suffix) else { return false }
            return !label.contains(UInt8(ascii: "."))
        case .deepWildcard(let suffix): return Self.prefix(of: host, before: suffix) != nil
        }
    }

    /// What stands before `.suffix`; nil where that is nothing.
    private static func prefix(of host: String, before suffix: String) -> Substring.UTF8View? {
        let length = host.utf8.count - suffix.utf8.count - 1
        guard length > 0 else { return nil }
        let dot = host.utf8.index(host.utf8.startIndex, offsetBy: length)
        guard host.utf8[dot] == UInt8(ascii: "."),
            host.utf8[host.utf8.index(after: dot)...].elementsEqual(suffix.utf8)
        else { return nil }
        return host.utf8[..<dot]
    }
}

extension HostPattern: CustomStringConvertible {
    package var description: String {
        switch self {
        case .exact(let name): name
        case .wildcard(let suffix): "*.\(suffix)"
        case .deepWildcard(let suffix): "**.\(suffix)"
        case .any: "*"
        }
    }
}
