/// How a WebSocket ends (RFC 6455 §7), for one side of it.
///
/// ```
///            close()                 peerClosed              transport ended,
///   open ──────────────▶ asked ──────────────────▶ done ───────────────────────▶ ended
///    │   send Close       │                         ▲        or its deadline
///    │                    ╰── failed ───────────────┤
///    ├── peerClosed: send Close ────────────────────┤
///    ╰── failed: send Close ────────────────────────╯
/// ```
/// It holds no clock: the driver has two deadlines, ``Deadline``, and calls ``expired()``. "Transport" is the connection
/// over HTTP/1.1 and the stream over HTTP/2 and HTTP/3, where ending our side is END_STREAM, and to cut off is to reset
/// it (RFC 8441 §5).
package struct ClosingHandshake: Sendable {
    /// What is to be done, in this order.
    package struct Step: Equatable, Sendable {
        /// Send a Close with ``status``, behind what is unsent; nothing but it may be sent any more.
        package var sendsClose: Bool
        /// What that Close bears; nil for one without payload.
        package var status: CloseStatus?
        package var transport: Transport

        package init(
            sendsClose: Bool = false, status: CloseStatus? = nil, transport: Transport = .asItIs
        ) {
            self.sendsClose = sendsClose
            self.status = status
            self.transport = transport
        }

        static func close(_ status: CloseStatus?, _ transport: Transport) -> Step {
            Step(sendsClose: true, status: status, transport: transport)
        }
    }

    package enum Transport: Sendable {
        case asItIs
        /// End our side once all is sent, then read and drop what comes until the peer ends its own, since a connection
        /// with unread octets is reset, and the Close with it. §7.1.1: a server ends first.
        case endSending
        /// Send what is unsent, then read and drop what comes until the server ends its side.
        case awaitEnd
        /// Release it now.
        case release
    }

    /// What a driver waits for, and for how long.
    package enum Deadline: Sendable {
        /// For the Close that answers ours.
        case answer
        /// For the peer's end of the transport, and for the way of what is unsent.
        case transport
    }

    /// Who began to close.
    package enum Cause: Equatable, Sendable {
        case us(CloseStatus?)
        /// With its status; nil where it gave none.
        case peer(CloseStatus?)
        /// The peer sent what it may not send.
        case failure(ConnectionFailure)
        /// The transport ended without a word, or something is wrong with it.
        case lost

        /// What is reported of the end (§7.1.5).
        package var status: CloseStatus {
            switch self {
            case .us(let status), .peer(let status): status ?? .absent
            case .failure(let failure): failure.status
            case .lost: .abnormal
            }
        }
    }

    private enum State { case open, asked, done, ended }

    private let role: Role
    private var state = State.open
    /// Why it closes, once it does.
    package private(set) var cause: Cause?
    /// Both sides have sent a Close (§7.1.4: "cleanly").
    package private(set) var isClean = false

    /// - Parameter role: ours.
    package init(_ role: Role) { self.role = role }

    /// Whether messages, pings and pongs may be sent: no Close was sent (§5.5.1).
    package var maySend: Bool { state == .open }

    /// Whether frames are to be read: what comes behind the peer's Close, and behind a failure, is dropped (§7.1.7). Behind
    /// our own Close the peer may end what it was about to say.
    package var mayReceive: Bool { state == .open || state == .asked }

    /// The deadline that runs now; nil while the connection is open, and when it has ended.
    package var deadline: Deadline? {
        switch state {
        case .open, .ended: nil
        case .asked: .answer
        case .done: .transport
        }
    }

    /// We want to close.
    package mutating func close(_ status: CloseStatus?) -> Step {
        guard state == .open else { return Step() }
        state = .asked
        cause = .us(status)
        return .close(status, .asItIs)
    }

    /// The peer's Close came. A Close that was not asked for is answered with the same status (§5.5.1).
    package mutating func peerClosed(_ status: CloseStatus?) -> Step {
        guard mayReceive else { return Step() }
        let answers = state == .open
        state = .done
        isClean = true
        guard answers else { return Step(transport: lastTransport) }
        cause = .peer(status)
        return .close(status, lastTransport)
    }

    /// What the peer sent fails the connection (§7.1.7).
    package mutating func failed(_ failure: ConnectionFailure) -> Step {
        guard mayReceive else { return Step() }
        let tells = state == .open
        state = .done
        // It is the failure that counts, also where we had wanted to close.
        cause = .failure(failure)
        return tells ? .close(failure.status, lastTransport) : Step(transport: lastTransport)
    }

    /// The peer has ended its side of the transport, or it broke.
    package mutating func transportEnded() -> Step {
        guard state != .ended else { return Step() }
        if cause == nil { cause = .lost }
        state = .ended
        return Step(transport: .release)
    }

    /// The deadline that ran has passed.
    package mutating func expired() -> Step {
        guard deadline != nil else { return Step() }
        state = .ended
        return Step(transport: .release)
    }

    private var lastTransport: Transport { role == .server ? .endSending : .awaitEnd }
}
