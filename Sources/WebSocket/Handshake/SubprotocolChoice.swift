internal import ChimeraBytes
internal import ChimeraHTTPCore

/// A server's choice among the subprotocols that a client offers (RFC 6455 §4.2.2, item 5.5; §11.3.4): the first in the
/// order of the client, whose list is in the order of its preference, that is spoken here.
package struct SubprotocolChoice: Sendable {
    private let names: [String]
    /// The index of the chosen one; nil where none was offered that is spoken here, and the answer is to name none.
    package private(set) var chosen: Int?

    /// - Parameter names: what is spoken here.
    package init(_ names: [String]) { self.names = names }

    /// Takes one line of Sec-WebSocket-Protocol.
    ///
    /// - Returns: false where it is no list of tokens: the request is malformed.
    package mutating func take(_ line: Span<UInt8>) -> Bool {
        var elements = ListElements(line)
        var isEmpty = true
        while let range = elements.next() {
            let name = line.extracting(range)
            guard name.allSatisfy(.token) else { return false }
            isEmpty = false
            if chosen == nil { chosen = names.firstIndex { name.equals($0) } }
        }
        return !isEmpty
    }
}

extension Span where Element == UInt8 {
    /// Case counts: §11.5 registers subprotocols as they are written.
    fileprivate func equals(_ text: String) -> Bool {
        guard count == text.utf8.count else { return false }
        var index = 0
        for octet in text.utf8 {
            guard self[index] == octet else { return false }
            index += 1
        }
        return true
    }
}
