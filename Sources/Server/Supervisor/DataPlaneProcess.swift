internal import ChimeraConfiguration
internal import ChimeraEventLoop
internal import ChimeraSessions
internal import Glibc

/// A data plane as the supervisor sees it: its process, the line to it, and what it says on standard error.
final class DataPlaneProcess {
    let generation: Int
    let pid: pid_t
    let image: BinaryImage
    let line: PacketSocket
    /// What the process writes to standard error comes out here; -1 after its end.
    private(set) var diagnostics: Int32
    private(set) var lastLines = DiagnosticLines()
    /// In milliseconds of the monotonic clock.
    let startedAt: Int64
    var version = "?"
    /// It takes the programs that others have left.
    var takesPrograms = false
    /// Whom it serves as, once that was asked for.
    var user: ProgramUser?
    /// The addresses of which it has sockets.
    var addresses: Set<Listener.Address> = []
    private var unsent: [PacketSocket.Packet] = []
    /// The process has closed its end of the line: it says nothing any more, and is about to end.
    private(set) var hasHungUp = false

    /// Packets that may wait for a data plane that does not read, with descriptors and without; past that they are dropped.
    private static let unsentMax = (some: 1024, none: 65_536)

    /// Starts the process.
    ///
    /// - Parameter arguments: those of its command, but for the line's number and the generation.
    init(generation: Int, image: BinaryImage, arguments: [String], environment: [String]) throws(SystemError)
    {
        let (ours, theirs) = try PacketSocket.pair()
        var pipe: (Int32, Int32) = (-1, -1)
        let made = withUnsafeMutableBytes(of: &pipe) { bytes in
            Glibc.pipe(bytes.baseAddress?.assumingMemoryBound(to: Int32.self))
        }
        try SystemError.check(made, "pipe")
        // There is one thread, so nothing is started between.
        for end in [pipe.0, pipe.1] { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        defer { close(pipe.1) }
        do throws(SystemError) {
            pid = try image.start(
                ["data-plane", "--line", "\(theirs.descriptor)", "--generation", "\(generation)"] + arguments,
                keeping: theirs.descriptor, standardError: pipe.1, environment: environment)
        } catch {
            close(pipe.0)
            throw error
        }
        // Ours alone: what the process writes with must wait where we are slow, and not fail.
        _ = fcntl(pipe.0, F_SETFL, O_NONBLOCK)
        self.generation = generation
        self.image = image
        line = ours
        diagnostics = pipe.0
        startedAt = Clock.monotonicMilliseconds()
    }

    deinit {
        if diagnostics >= 0 { close(diagnostics) }
        for packet in unsent { packet.descriptors.forEach(FileDescriptors.close) }
    }

    // MARK: The line

    var hasUnsent: Bool { !unsent.isEmpty }

    /// The next message, and the descriptors that came with it, which are the caller's; nil where there is none now.
    func nextMessage() -> (message: ControlMessage, descriptors: [Int32])? {
        while !hasHungUp {
            switch line.receive(wait: false) {
            case .packet(let packet):
                if let message = ControlMessage(packet.bytes) { return (message, packet.descriptors) }
                packet.descriptors.forEach(FileDescriptors.close)
            case .damaged: continue
            case .nothing: return nil
            case .end: hasHungUp = true
            }
        }
        return nil
    }

    /// Sends a message, now or when there is room. Its descriptors are closed when they are sent.
    ///
    /// - Returns: false where it was dropped.
    @discardableResult
    func tell(_ message: ControlMessage, descriptors: [Int32] = []) -> Bool {
        let packet = PacketSocket.Packet(message.encoded, descriptors: descriptors)
        guard unsent.count < (descriptors.isEmpty ? Self.unsentMax.none : Self.unsentMax.some) else {
            packet.descriptors.forEach(FileDescriptors.close)
            return false
        }
        unsent.append(packet)
        sendUnsent()
        return true
    }

    func sendUnsent() {
        while let packet = unsent.first {
            do throws(SystemError) {
                guard try line.send(packet, wait: false) else { return }
            } catch {
                // Its end is on its way to us.
            }
            packet.descriptors.forEach(FileDescriptors.close)
            unsent.removeFirst()
        }
    }

    // MARK: Diagnostics

    /// Bytes that are taken of standard error at once: what a pipe holds.
    private static let chunk = 65_536

    /// What the process has written since; empty where it has written nothing.
    func takeDiagnostics() -> [UInt8] {
        guard diagnostics >= 0 else { return [] }
        var room = [UInt8](repeating: 0, count: Self.chunk)
        let count = read(diagnostics, &room, room.count)
        if count == 0 {
            close(diagnostics)
            diagnostics = -1
        }
        guard count > 0 else { return [] }
        lastLines.append(room[..<count])
        return Array(room[..<count])
    }
}
