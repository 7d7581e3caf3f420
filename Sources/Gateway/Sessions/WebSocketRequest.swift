internal import ChimeraBytes
internal import ChimeraConfiguration
internal import ChimeraHTTPCore
internal import ChimeraSessions
internal import ChimeraWebSocket

/// A request for a WebSocket, as far as a server has to look at it (RFC 6455 §4.2.1).
struct WebSocketRequest {
    /// Why it is none, or none that is served.
    enum Fault: Error, Equatable {
        /// It asks for no WebSocket, or for another version: 426.
        case upgradeRequired
        /// It breaks a rule of the handshake: 400.
        case malformed
        /// It comes from a page of somebody else: 403.
        case foreignOrigin
    }

    /// What is agreed about compression.
    private(set) var deflate: DeflateNegotiation?
    /// The token of a client that comes back; nil for one that is new.
    private(set) var claim: ResumeClaim?
    /// The index of the subprotocol that is spoken.
    private(set) var subprotocol: Int?

    /// - Parameter subprotocols: those that are spoken here.
    init(
        _ request: RequestHead, _ context: RequestContext, _ destination: SessionDestination,
        subprotocols: [String]
    ) throws(Fault) {
        guard request.method == .get, Self.asksForWebSocket(request) else { throw .upgradeRequired }
        guard let version = request[.secWebsocketVersion], OpeningHandshake.isSupported(version: version)
        else {
            throw .upgradeRequired
        }
        guard request.occurrences(of: .secWebsocketKey) == 1,
            request.occurrences(of: .secWebsocketVersion) == 1,
            let key = request[.secWebsocketKey], OpeningHandshake.isValid(key: key)
        else { throw .malformed }
        // RFC 9110 §7.8: the other protocol begins behind the whole request, and this one has no use for a body.
        guard request.majorVersion != 1 || request.body == .none || request.body == .known(0) else {
            throw .malformed
        }
        guard destination.origins.allowsWebSocket(request, context) else { throw .foreignOrigin }
        try negotiate(request, destination, subprotocols)
    }

    private mutating func negotiate(
        _ request: RequestHead, _ destination: SessionDestination, _ subprotocols: [String]
    ) throws(Fault) {
        deflate = destination.deflate.map { DeflateNegotiation($0) }
        var choice = SubprotocolChoice(subprotocols)
        for index in 0..<request.lineCount {
            let line = request.line(at: index)
            guard line.isPresent else { continue }
            if line.name == .secWebsocketExtensions, deflate?.take(request[line.value]) == false {
                throw .malformed
            }
            if line.name == .secWebsocketProtocol {
                guard choice.take(request[line.value]) else { throw .malformed }
                takeClaim(request[line.value])
            }
            if line.name == .other, request[line.nameBytes].equalsIgnoringCase("chimera-resume") {
                claim = ResumeClaim(request[line.value]) ?? ResumeClaim(token: "")
            }
        }
        subprotocol = choice.chosen
    }

    /// A page can set no other field of its handshake, and what stands in a URL stands in logs.
    private mutating func takeClaim(_ list: Span<UInt8>) {
        var elements = ListElements(list)
        while let range = elements.next() {
            let element = list.extracting(range)
            // What looks like a token and is none is that of no program; it must not start another one.
            if element.starts(with: "chimera.resume.") {
                claim = ResumeClaim(subprotocol: element) ?? ResumeClaim(token: "")
            }
        }
    }

    private static func asksForWebSocket(_ request: RequestHead) -> Bool {
        let offered = request[request.upgrade]
        var elements = ListElements(offered)
        while let element = elements.next() {
            if offered.extracting(element).equalsIgnoringCase("websocket") { return true }
        }
        return false
    }

    // MARK: Answer

    /// Fills the head that agrees (RFC 6455 §4.2.2).
    ///
    /// - Returns: false where libcrypto refuses SHA-1.
    func agree(_ request: RequestHead, _ response: ResponseHead, subprotocols: [String]) -> Bool {
        response.reset(status: 101)
        guard let key = request[.secWebsocketKey] else { return false }
        let value = ByteBuffer(capacity: 64)
        guard OpeningHandshake.appendAccept(for: key, to: value) else { return false }
        response.add(.secWebsocketAccept, value.readable)
        if let subprotocol { response.add(.secWebsocketProtocol, Array(subprotocols[subprotocol].utf8).span) }
        if let deflate, deflate.agreed != nil {
            value.clear()
            deflate.append(to: value)
            response.add(.secWebsocketExtensions, value.readable)
        }
        return true
    }
}
