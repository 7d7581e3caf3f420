
/// A request method (RFC 9110 §9): those that a gateway treats specially, or `other`.
package enum Method: UInt8, Sendable {
    case get, head, post, put, delete, options, patch, connect, trace
    /// Any other token; the request head's `methodBytes` say which.
    case other

    /// The method of that name. RFC 9110 §9.1: methods are case-sensitive.
    package init(_ token: Span<UInt8>) {
        let candidates = Method.candidates(ofLength: token.count)
        for index in 0..<3 where candidates[index].matches(token) {
            self = candidates[index]
            return
        }
        self = .other
    }

    /// The method's name; empty for `other`.
    package var text: StaticString {
        switch self {
        case .get: "GET"
        case .head: "HEAD"
        case .post: "POST"
        case .put: "PUT"
        case .delete: "DELETE"
        case .options: "OPTIONS"
        case .patch: "PATCH"
        case .connect: "CONNECT"
        case .trace: "TRACE"
        case .other: ""
        }
    }

    /// Whether the method is idempotent, so that a request may be sent again (RFC 9110 §9.2.2).
    package var isIdempotent: Bool {
        switch self {
        case .get, .head, .put, .delete, .options, .trace: true
        case .post, .patch, .connect, .other: false
        }
    }

    private static func candidates(ofLength count: Int) -> [3 of Method] {
        switch count {
        case 3: [.get, .put, .other]
        case 4: [.head, .post, .other]
        case 5: [.patch, .trace, .other]
        case 6: [.delete, .other, .other]
        default: [.options, .connect, .other]
        }
    }

    private func matches(_ token: Span<UInt8>) -> Bool {
        guard self != .other, text.utf8CodeUnitCount == token.count else { return false }
        for index in token.indices where token[index] != text.utf8Start[index] { return false }
        return true
    }
}
