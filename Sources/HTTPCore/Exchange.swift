package import ChimeraEventLoop

/// Why an exchange or its connection ended before its time, with its token for the log. `nil` elsewhere means that
/// it ended as it should.
package enum CloseReason: UInt8, CaseIterable, Sendable {
    /// The client ended the connection.
    case clientClosed
    /// The client's connection failed.
    case clientFailed
    /// The client sent no whole head in time.
    case headTimeout
    /// The client stopped sending the body.
    case bodyTimeout
    /// The client stopped taking the answer.
    case sendTimeout
    /// Nothing happened on a kept connection.
    case idleTimeout
    /// The request was refused and the connection cannot carry another.
    case refused
    /// The upstream ended or broke its answer half way.
    case upstreamBroken
    /// The upstream stopped sending half way.
    case upstreamTimeout
    /// The gateway drains.
    case draining
    /// The whole response took longer than allowed.
    case responseTimeout
    /// Neither side of a tunnel sent anything for too long.
    case quietTimeout
    /// A file changed or vanished while it was sent.
    case fileChanged
    /// The longest idle connection was closed, since a new one needed its place.
    case makingRoom
    /// An embedded handler failed, or left its answer unfinished.
    case handlerFailed
    /// The client gave the request up and goes on with others on its connection (RFC 9113 §6.4).
    case clientReset
    /// The client broke a rule of its protocol, so that nothing more can be read from it (RFC 9113 §5.4.1).
    case protocolViolated
    /// The client did something allowed more often than anybody has to bear (RFC 9113 §10.5).
    case flooded
    /// The client never acknowledged our settings (RFC 9113 §6.5.3).
    case settingsTimeout
    /// A proxy in front began with no PROXY header, or with a broken one.
    case proxyHeaderRefused

    /// The token in logs and metrics.
    package var token: StaticString {
        switch self {
        case .clientClosed: "client-closed"
        case .clientFailed: "client-failed"
        case .headTimeout: "head-timeout"
        case .bodyTimeout: "body-timeout"
        case .sendTimeout: "send-timeout"
        case .idleTimeout: "idle-timeout"
        case .refused: "refused"
        case .upstreamBroken: "upstream-broken"
        case .upstreamTimeout: "upstream-timeout"
        case .draining: "draining"
        case .responseTimeout: "response-timeout"
        case .quietTimeout: "quiet-timeout"
        case .fileChanged: "file-changed"
        case .makingRoom: "making-room"
        case .handlerFailed: "handler-failed"
        case .clientReset: "client-reset"
        case .protocolViolated: "protocol-violated"
        case .flooded: "flooded"
        case .settingsTimeout: "settings-timeout"
        case .proxyHeaderRefused: "proxy-header"
        }
    }
}

/// What a look at a request's body found.
package enum BodyProgress: Equatable, Sendable {
    /// Something was passed on.
    case progressed
    /// Nothing has come.
    case pending
    /// The body has ended; its trailers are in `Exchange.requestTrailers`.
    case ended
    /// The body cannot be read to its end.
    case refused(Refusal)
    /// The client is gone.
    case aborted(CloseReason)
}

/// One request and its response, on any protocol version.
///
/// Below it are the wires, which conform; above it nothing knows which protocol it serves. It never waits:
/// its calls do what can be done now, and whoever serves it waits in `scope` for news of it and of whatever else it
/// has to do with, in one task.
///
/// ```
/// request head ─▶ body … ─▶ trailers            (pulled: readBody)
///      interim heads … ◀─ final head ◀─ body … ◀─ trailers   (pushed: sendHead, send, finish)
/// ```
/// The final head is sent exactly once. `send` takes everything; a sender looks at `isBlocked` before it gets more,
/// which is the backpressure.
package protocol Exchange: AnyObject {
    var worker: Worker { get }
    /// Where the task that serves the exchange waits.
    var scope: Scope { get }
    var request: RequestHead { get }
    /// The head to be sent; whoever answers fills it.
    var response: ResponseHead { get }
    /// Whether the final head was sent.
    var hasSentHead: Bool { get }
    /// Trailer fields of the request, once its body has ended.
    var requestTrailers: FieldBlock? { get }

    // MARK: Request body

    /// Passes on what has come of the request's body, at most one read.
    func readBody(into sink: (Span<UInt8>) -> Void) -> BodyProgress

    /// Whether another look at the body may find something, without news of the client.
    var mayHaveBody: Bool { get }

    /// Whether the request's body has been read to its end.
    var bodyHasEnded: Bool { get }

    /// Why the client's side is lost, if it is; looks no further than what is known without reading.
    var lost: CloseReason? { get }

    /// Whether the client has ended its own side, which may only mean that it has no more to say.
    var clientHasEnded: Bool { get }

    /// Whether no more of the request comes than is here already, and may not have been read.
    var hasAllOfRequest: Bool { get }

    /// Tells the client that its body is wanted (RFC 9110 §15.2.1), where it waits for that.
    func continueBody()

    // MARK: Response

    /// Sends an interim head (RFC 9110 §15.2), where the client's protocol has those.
    func sendInformational(status: Int, _ fields: FieldBlock)

    /// Sends `response` as the final head.
    func sendHead()

    /// Sends bytes of the body. All are taken; see `isBlocked`.
    func send(_ bytes: Span<UInt8>)

    /// Sends part of a file, as much as goes now and at most `count` bytes.
    ///
    /// - Returns: how many bytes went, or nil when the file is shorter than it was.
    func sendFile(_ file: FileHandle, offset: Int64, count: Int) -> Int?

    /// Ends the response.
    func finish(trailers: FieldBlock?)

    /// Writes what was sent so far to the wire.
    ///
    /// - Returns: whether all of it went.
    @discardableResult
    func flush() -> Bool

    /// Whether sent bytes still wait for the client, so that no more should be sent.
    var isBlocked: Bool { get }

    /// Whether the client took something since it was last asked about. What the kernel still holds may keep a socket
    /// from being writable for long while a slow client makes progress; asking costs a system call, so it is for
    /// the moment at which the client's time is over.
    func clientHasProgressed() -> Bool

    /// Gives the exchange up: the client sees an answer that is not whole.
    func abort(_ reason: CloseReason)

    // MARK: Time

    /// Wakes the scope with `.deadline` after so many milliseconds; nil for never. There is one deadline.
    func setDeadline(after milliseconds: Int64?)

    // MARK: Upgrade

    /// Whether an upstream's agreement to another protocol is one to what was asked; `response` is its head.
    func agrees(to response: ResponseHead) -> Bool

    /// Turns the exchange into a tunnel (RFC 9110 §7.8) after sending `response` as the head that agrees on the
    /// protocol `token`; from then on `readBody` gives the client's bytes as they are, and `send` sends bytes as
    /// they are.
    func acceptUpgrade(_ token: Span<UInt8>)

    /// Ends our side of a tunnel; the client's side goes on.
    func finishTunnel()
}

extension Exchange {
    package var mayHaveBody: Bool { true }

    package var hasAllOfRequest: Bool { clientHasEnded }

    package func clientHasProgressed() -> Bool { false }

    package func agrees(to response: ResponseHead) -> Bool { true }
}

/// An open file, closed when nobody holds it any more.
package final class FileHandle {
    package let descriptor: Int32
    /// Until when its pages count as being in memory without another look, in milliseconds of the worker's clock.
    @exclusivity(unchecked) package var residentUntil = Int64.min

    package init(descriptor: Int32) { self.descriptor = descriptor }

    deinit { FileDescriptors.close(descriptor) }
}

/// Bytes that many answers share: a small file, a fixed body.
package final class Blob {
    private let bytes: UnsafeMutablePointer<UInt8>
    package let count: Int

    /// Copies `span`.
    package init(_ span: Span<UInt8>) {
        count = span.count
        bytes = .allocate(capacity: max(1, count))
        span.withUnsafeBufferPointer { source in
            if let from = source.baseAddress { bytes.update(from: from, count: source.count) }
        }
    }

    package convenience init(_ text: String) {
        self.init(Array(text.utf8).span)
    }

    deinit { bytes.deallocate() }

    package var span: Span<UInt8> {
        @_lifetime(borrow self)
        get {
            // Sound: the allocation lives as long as self and is never written again.
            let span = Span(_unsafeStart: bytes, count: count)
            return _overrideLifetime(span, borrowing: self)
        }
    }
}

/// The body of an answer that needs no wait.
package enum AnswerBody {
    case none
    case bytes(Blob)
    case file(FileHandle, offset: Int64, count: Int)

    /// How many bytes it has.
    package var count: Int {
        switch self {
        case .none: 0
        case .bytes(let blob): blob.count
        case .file(_, _, let count): count
        }
    }
}
