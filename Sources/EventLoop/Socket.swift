internal import CLinux
internal import Glibc

/// What a socket tells when something happened to it that its user may be waiting for.
package protocol SocketObserver: AnyObject {
    func socketReady(_ socket: Socket)
}

/// What a system call on a socket came to.
package enum Transfer: Equatable {
    /// So many bytes went over.
    case bytes(Int)
    /// Nothing now; the observer is told when it may go on.
    case wouldBlock
    /// The peer has ended its side (reading only).
    case end
    /// The connection is gone; the error number.
    case failed(Int32)
}

/// What epoll told of a socket.
package struct SocketNews: OptionSet {
    package let rawValue: UInt8

    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// A read may bring something.
    package static let readable = SocketNews(rawValue: 1)
    /// A write may take something.
    package static let writable = SocketNews(rawValue: 2)
    /// The peer's end was announced.
    package static let closing = SocketNews(rawValue: 4)
}

/// What stands between a socket and its user, such as TLS: it has the bytes of the wire, and the user those that they
/// stand for. Its methods mean what those of the socket do.
package protocol SocketLayer: AnyObject {
    /// Before the socket's observer is told.
    func becameReady(_ news: SocketNews, on socket: Socket)
    /// Sets the socket's `isReadable` as well.
    func read(into room: UnsafeMutableRawBufferPointer, from socket: Socket) -> Transfer
    func write(
        _ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer, to socket: Socket
    ) -> Transfer
    func sendFile(_ file: Int32, offset: Int64, count: Int, to socket: Socket) -> Transfer
    func shutdownWrite(on socket: Socket)
    /// The socket is about to be closed in good order.
    func closing(_ socket: Socket)
}

/// A connected stream socket on one worker: the descriptor, what epoll last said of it, and the calls that move bytes.
///
/// Readiness is latched: epoll is edge-triggered, an event sets a flag, and only a short or refused transfer clears
/// it. So a socket that nobody reads costs nothing, and a short read needs no second one that finds it empty.
package final class Socket: EventTarget {
    package let descriptor: Int32
    private let worker: Worker
    @exclusivity(unchecked) private var watch: WatchID?
    @exclusivity(unchecked) private unowned(unsafe) var observer: (any SocketObserver)?
    /// Whether a read may bring something: bytes, the peer's end or an error.
    @exclusivity(unchecked) package private(set) var isReadable = false
    /// Whether a write may take something.
    @exclusivity(unchecked) package private(set) var isWritable = true
    /// The peer's end was announced, though bytes may be left to read before it.
    @exclusivity(unchecked) package private(set) var isReadClosed = false
    /// The connection is gone in both directions, or failed.
    @exclusivity(unchecked) package private(set) var isBroken = false
    @exclusivity(unchecked) private var watchesWritable = false
    @exclusivity(unchecked) private var hasEnded = false
    /// What the peer had acknowledged when the kernel last took no more, or when it was last asked about.
    @exclusivity(unchecked) private var acknowledged: UInt64 = 0
    /// Nil: the user's bytes are those of the wire.
    @exclusivity(unchecked) private var layer: (any SocketLayer)?

    /// Takes over `descriptor`, which is non-blocking, and watches it.
    ///
    /// - Parameter connecting: a connect is under way; the socket becomes writable when it is done.
    /// - Throws: when epoll refuses it; the descriptor is closed then.
    package init(_ descriptor: Int32, on worker: Worker, connecting: Bool = false) throws(SystemError) {
        self.descriptor = descriptor
        self.worker = worker
        do throws(SystemError) {
            watch = try worker.watch(descriptor, writable: connecting, self)
        } catch {
            Glibc.close(descriptor)
            throw error
        }
        isWritable = !connecting
        watchesWritable = connecting
    }

    deinit { precondition(watch == nil, "a socket was freed open") }

    /// Who is told of news; nil for nobody. Not kept alive by the socket.
    package func observe(_ observer: (any SocketObserver)?) {
        self.observer = observer
    }

    package func ready(_ events: Readiness) {
        if !events.isDisjoint(with: [.readable, .readClosed, .closed, .failed]) { isReadable = true }
        if !events.isDisjoint(with: [.writable, .closed, .failed]) { isWritable = true }
        if !events.isDisjoint(with: [.readClosed, .closed]) { isReadClosed = true }
        // After our own end, both directions are closed in good order once the peer has ended its side too.
        if events.contains(.failed) || (events.contains(.closed) && !hasEnded) { isBroken = true }
        if let layer { tell(layer, events) }
        observer?.socketReady(self)
    }

    private func tell(_ layer: any SocketLayer, _ events: Readiness) {
        var news: SocketNews = []
        if !events.isDisjoint(with: [.readable, .readClosed, .closed, .failed]) { news.insert(.readable) }
        if !events.isDisjoint(with: [.writable, .closed, .failed]) { news.insert(.writable) }
        if isReadClosed || isBroken { news.insert(.closing) }
        layer.becameReady(news, on: self)
    }

    /// Tells the observer as if there were news, for one who came to the socket after they had come.
    package func tellAgain() { observer?.socketReady(self) }

    // MARK: Moving bytes

    /// Reads into `room`. A short read means drained, unless the peer's end is announced.
    package func read(into room: UnsafeMutableRawBufferPointer) -> Transfer {
        if let layer { return layer.read(into: room, from: self) }
        return readWire(into: room)
    }

    /// Reads bytes of the wire, below any layer, which has no use for them any more.
    package func readWire(into room: UnsafeMutableRawBufferPointer) -> Transfer {
        let count = Glibc.recv(descriptor, room.baseAddress, room.count, 0)
        if count > 0 {
            if count < room.count && !isReadClosed && !isBroken { isReadable = false }
            return .bytes(count)
        }
        if count == 0 { return .end }
        return failure(reading: true)
    }

    /// Copies what has come on the wire into `room`, and leaves it there.
    package func peek(into room: UnsafeMutableRawBufferPointer) -> Transfer {
        let count = Glibc.recv(descriptor, room.baseAddress, room.count, Int32(MSG_PEEK))
        if count > 0 { return .bytes(count) }
        return count == 0 ? .end : failure(reading: true)
    }

    /// Writes `bytes`, as many as the kernel takes.
    package func write(_ bytes: UnsafeRawBufferPointer) -> Transfer {
        if let layer {
            return noted(layer.write(bytes, UnsafeRawBufferPointer(start: nil, count: 0), to: self))
        }
        return writeWire(bytes)
    }

    /// Writes bytes of the wire, below any layer.
    package func writeWire(_ bytes: UnsafeRawBufferPointer) -> Transfer {
        let count = Glibc.send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
        return written(count, of: bytes.count)
    }

    /// Writes two runs of bytes in one call: a head and what follows it.
    package func write(_ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer) -> Transfer {
        if first.isEmpty { return write(second) }
        if second.isEmpty { return write(first) }
        if let layer { return noted(layer.write(first, second, to: self)) }
        var parts = (
            iovec(iov_base: UnsafeMutableRawPointer(mutating: first.baseAddress), iov_len: first.count),
            iovec(iov_base: UnsafeMutableRawPointer(mutating: second.baseAddress), iov_len: second.count)
        )
        let count = withUnsafeMutableBytes(of: &parts) { room in
            var message = msghdr()
            message.msg_iov = room.baseAddress?.assumingMemoryBound(to: iovec.self)
            message.msg_iovlen = 2
            return sendmsg(descriptor, &message, Int32(MSG_NOSIGNAL))
        }
        return written(count, of: first.count + second.count)
    }

    /// Sends `count` bytes of a file from `offset`, as many as the kernel takes.
    package func sendFile(_ file: Int32, offset: Int64, count: Int) -> Transfer {
        if let layer { return noted(layer.sendFile(file, offset: offset, count: count, to: self)) }
        var position = off_t(offset)
        let sent = CLinux.sendfile(descriptor, file, &position, count)
        if sent == 0 { return .end }
        return written(sent, of: count)
    }

    /// A layer through which nothing goes out any more tells nobody of that but who writes.
    private func noted(_ transfer: Transfer) -> Transfer {
        if transfer == .failed(EPIPE) { isBroken = true }
        return transfer
    }

    private func written(_ count: Int, of wanted: Int) -> Transfer {
        guard count >= 0 else { return failure(reading: false) }
        if count < wanted { waitWritable() }
        return .bytes(count)
    }

    private func failure(reading: Bool) -> Transfer {
        let number = chimera_errno()
        switch number {
        case EAGAIN:
            if reading {
                isReadable = isReadClosed || isBroken
            } else if isWritable {
                waitWritable()
            }
            return .wouldBlock
        case EINTR:
            return .wouldBlock
        case EPIPE, ECONNRESET, ETIMEDOUT:
            // Epoll says so too, but a moment later.
            if !reading { isBroken = true }
            return .failed(number)
        default:
            return .failed(number)
        }
    }

    /// The kernel takes no more: what the peer takes counts from here.
    private func waitWritable() {
        isWritable = false
        acknowledged = chimera_acknowledged(descriptor)
        guard !watchesWritable, let watch else { return }
        watchesWritable = true
        // A refusal can only mean that the kernel is out of memory; the deadline then ends the connection.
        try? worker.watchWritable(descriptor, watch)
    }

    // MARK: Layers

    /// Puts a layer between the socket and its user, for good.
    package func insert(_ layer: any SocketLayer) {
        precondition(self.layer == nil, "a socket has one layer")
        self.layer = layer
    }

    /// Whether a read of the layer may bring something without news of the socket.
    package func setReadable(_ isReadable: Bool) {
        self.isReadable = isReadable
    }

    // MARK: Options and ending

    /// The outcome of a connect that was under way: 0, or the error number.
    package func connectError() -> Int32 {
        var number: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        let result = getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &number, &length)
        return result == 0 ? number : chimera_errno()
    }

    /// Whether the peer took bytes off the wire since the kernel last took no more, or since it was last asked about;
    /// never where the kernel cannot tell, as for Unix sockets.
    package func peerHasProgressed() -> Bool {
        let before = acknowledged
        acknowledged = chimera_acknowledged(descriptor)
        return acknowledged > before
    }

    /// Sends small writes at once; meaningless for Unix sockets, where it is ignored.
    package func disableDelay() {
        setOption(Int32(IPPROTO_TCP), TCP_NODELAY, 1)
    }

    /// Probes a peer that is silent for `seconds`.
    package func enableKeepAlive(afterSeconds seconds: Int32) {
        setOption(SOL_SOCKET, SO_KEEPALIVE, 1)
        setOption(Int32(IPPROTO_TCP), TCP_KEEPIDLE, seconds)
        setOption(Int32(IPPROTO_TCP), TCP_KEEPINTVL, max(1, seconds / 4))
    }

    private func setOption(_ level: Int32, _ name: Int32, _ value: Int32) {
        var value = value
        setsockopt(descriptor, level, name, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    /// Ends our side; the peer may go on sending.
    package func shutdownWrite() {
        if let layer { layer.shutdownWrite(on: self) } else { shutdownWire() }
    }

    /// Ends our side of the wire, below any layer.
    package func shutdownWire() {
        hasEnded = true
        shutdown(descriptor, Int32(SHUT_WR))
    }

    /// Ends the connection; with `reset` the peer learns that it did not end well.
    package func close(reset: Bool = false) {
        guard let watch else { return }
        if !reset { layer?.closing(self) }
        self.watch = nil
        observer = nil
        // The number may be another's at once.
        isReadable = false
        isWritable = false
        if reset {
            var linger = linger(l_onoff: 1, l_linger: 0)
            setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<linger>.size))
        }
        worker.unwatch(watch)
        Glibc.close(descriptor)
    }

    /// Whether something came that nobody has read, whether epoll has told so yet or not.
    package var hasUnread: Bool {
        if isReadable { return true }
        var byte: UInt8 = 0
        return recv(descriptor, &byte, 1, Int32(MSG_PEEK) | Int32(MSG_DONTWAIT)) >= 0
    }

    /// Whether the socket was not closed yet.
    package var isOpen: Bool { watch != nil }
}
