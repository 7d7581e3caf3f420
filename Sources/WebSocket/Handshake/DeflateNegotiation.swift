package import ChimeraBytes
internal import ChimeraHTTPCore

/// What a server wants of permessage-deflate.
package struct DeflatePolicy: Equatable, Sendable {
    /// For what the server sends. A kept context is better compression, for the memory of a ``MessageEncoder`` between
    /// messages.
    package var server: DeflateDirection
    /// For what clients send, for the memory of a ``MessageDecoder``. A client that does not let itself be told uses the
    /// largest window all the same.
    package var client: DeflateDirection

    /// By default nothing is kept between messages, so that an idle connection costs nothing.
    package init(
        server: DeflateDirection = DeflateDirection(keepsContext: false),
        client: DeflateDirection = DeflateDirection(keepsContext: false)
    ) {
        self.server = server
        self.client = client
    }
}

/// A server's answer to the extensions that a client offers (RFC 6455 §9.1, RFC 7692 §5.1): the first permessage-deflate
/// that is usable, as small as the policy wants it; no other extension.
package struct DeflateNegotiation: Sendable {
    private let policy: DeflatePolicy
    private var answer: DeflateOffer?
    /// What was agreed; nil where nothing was offered that is usable.
    package private(set) var agreed: DeflateParameters?

    package init(_ policy: DeflatePolicy) { self.policy = policy }

    /// Takes one line of Sec-WebSocket-Extensions.
    ///
    /// - Returns: false where it is no list of extensions: the request is malformed.
    package mutating func take(_ line: Span<UInt8>) -> Bool {
        var elements = ListElements(line)
        var isEmpty = true
        while let range = elements.next() {
            isEmpty = false
            switch DeflateOffer.read(line.extracting(range)) {
            case .malformed: return false
            case .other, .unusable: break
            case .usable(let offer): if agreed == nil { agree(to: offer) }
            }
        }
        return !isEmpty
    }

    /// Appends the value of the answer's Sec-WebSocket-Extensions; nothing where nothing was agreed.
    package func append(to output: ByteBuffer) { answer?.append(to: output) }

    private mutating func agree(to offer: DeflateOffer) {
        var answer = DeflateOffer()
        var agreed = DeflateParameters()
        // §7.1.1.1, §7.1.1.2: a server may forget, and make its client forget, also unasked.
        answer.serverForgets = offer.serverForgets || !policy.server.keepsContext
        answer.clientForgets = offer.clientForgets || !policy.client.keepsContext
        agreed.server.keepsContext = !answer.serverForgets
        agreed.client.keepsContext = !answer.clientForgets
        // §7.1.2.1: what is asked has to be answered with as much or less; less than the most needs no word.
        agreed.server.windowBits = min(policy.server.windowBits, offer.serverWindowBits ?? 15)
        if offer.serverWindowBits != nil { answer.serverWindowBits = agreed.server.windowBits }
        // §7.1.2.2: only a client that says that it understands can be told.
        if offer.hasClientWindowBits {
            agreed.client.windowBits = min(policy.client.windowBits, offer.clientWindowBits ?? 15)
            answer.hasClientWindowBits = true
            answer.clientWindowBits = agreed.client.windowBits
        }
        self.answer = answer
        self.agreed = agreed
    }
}

/// A client's look at the extensions in a server's answer (RFC 6455 §4.1, RFC 7692 §5.1).
package struct DeflateAcceptance: Sendable {
    private let offer: DeflateOffer?
    /// What was agreed; nil where the server wants no compression.
    package private(set) var agreed: DeflateParameters?

    /// - Parameter offer: what the client has offered.
    package init(_ offer: DeflateOffer?) { self.offer = offer }

    /// Takes one line of Sec-WebSocket-Extensions.
    ///
    /// - Returns: false where it holds what was not offered, or something twice, or nothing: the connection is to be
    ///   failed.
    package mutating func take(_ line: Span<UInt8>) -> Bool {
        var elements = ListElements(line)
        var isEmpty = true
        while let range = elements.next() {
            isEmpty = false
            guard case .usable(let answer) = DeflateOffer.read(line.extracting(range)), agreed == nil,
                let offer, let parameters = Self.parameters(offer, answer)
            else { return false }
            agreed = parameters
        }
        return !isEmpty
    }

    /// - Returns: nil for an answer that the offer does not allow.
    private static func parameters(_ offer: DeflateOffer, _ answer: DeflateOffer) -> DeflateParameters? {
        // §7.1.1.1, §7.1.2.1: a server accepts what is asked of it by saying so.
        guard answer.serverForgets || !offer.serverForgets else { return nil }
        if let asked = offer.serverWindowBits {
            guard let answered = answer.serverWindowBits, answered <= asked else { return nil }
        }
        // §7.1.2.2: in an answer always with a value, and only where it was offered.
        if answer.hasClientWindowBits {
            guard offer.hasClientWindowBits, let told = answer.clientWindowBits,
                told <= offer.clientWindowBits ?? 15
            else { return nil }
        }
        var parameters = DeflateParameters()
        parameters.server.keepsContext = !answer.serverForgets
        // An offer's hint binds the client itself.
        parameters.client.keepsContext = !(answer.clientForgets || offer.clientForgets)
        parameters.server.windowBits = answer.serverWindowBits ?? 15
        parameters.client.windowBits = min(answer.clientWindowBits ?? 15, offer.clientWindowBits ?? 15)
        return parameters
    }
}
