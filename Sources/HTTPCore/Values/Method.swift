internal import ChimeraBytes

/// A request method (RFC 9110 §9, RFC 5789, RFC 4918); one that is not in the table is ``other``, and its
/// token stays in the head.
package enum Method: UInt8, CaseIterable, Sendable {
    case get, head, post, put, delete, connect, options, trace, patch
    case propfind, proppatch, mkcol, copy, move, lock, unlock
    case other

    /// Reads a method token. Case counts (RFC 9110 §9.1).
    package init(_ token: Span<UInt8>) {
        self = Self.known(token) ?? .other
    }

    private static func known(_ token: Span<UInt8>) -> Method? {
        switch token.count {
        case 3: first(token, .get, .put)
        case 4: first(token, .post, .head) ?? first(token, .copy, .move) ?? first(token, .lock)
        case 5: first(token, .patch, .trace) ?? first(token, .mkcol)
        case 6: first(token, .delete, .unlock)
        case 7: first(token, .options, .connect)
        case 8: first(token, .propfind)
        case 9: first(token, .proppatch)
        default: nil
        }
    }

    private static func first(_ token: Span<UInt8>, _ method: Method, _ second: Method? = nil) -> Method? {
        if token.equals(method.token) { return method }
        if let second, token.equals(second.token) { return second }
        return nil
    }

    /// The token; empty for ``other``.
    package var token: StaticString {
        switch self {
        case .get: "GET"
        case .head: "HEAD"
        case .post: "POST"
        case .put: "PUT"
        case .delete: "DELETE"
        case .connect: "CONNECT"
        case .options: "OPTIONS"
        case .trace: "TRACE"
        case .patch: "PATCH"
        case .propfind: "PROPFIND"
        case .proppatch: "PROPPATCH"
        case .mkcol: "MKCOL"
        case .copy: "COPY"
        case .move: "MOVE"
        case .lock: "LOCK"
        case .unlock: "UNLOCK"
        case .other: ""
        }
    }

    /// RFC 9110 §9.2.1: asks for nothing to change.
    package var isSafe: Bool {
        switch self {
        case .get, .head, .options, .trace, .propfind: true
        default: false
        }
    }

    /// RFC 9110 §9.2.2: twice does what once does, so it may be sent again.
    package var isIdempotent: Bool {
        switch self {
        case .put, .delete, .proppatch, .mkcol, .copy, .move, .unlock: true
        default: isSafe
        }
    }

    /// GET or HEAD: what conditions and ranges are about (RFC 9110 §13.2.2).
    package var isRetrieval: Bool { self == .get || self == .head }
}
