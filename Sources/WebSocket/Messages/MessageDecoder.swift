package import ChimeraBytes

/// Reads one direction of a WebSocket: messages, pings, pongs and the Close (RFC 6455 §5, RFC 7692).
///
/// ```
///            ╭──────── data, ping, pong ────────╮
///            ▼                                  │
///         header ──▶ payload, unmasked in place ╯──close──▶ over
///            ╰────────────── failed ──────────────────────▶ over
/// ```
/// Refused is whatever the peer may not send by its role and by what was agreed, at the first octet that shows it: bad
/// headers, reserved bits, fragments out of order, text that is not UTF-8, deflated data that is none, and what exceeds
/// the bounds, a compressed message as soon as its inflated octets do. How many control frames and fragments a peer may
/// send in what time is for the driver to say, which has a clock.
///
/// A decoder takes 160 octets. With a message that is compressed come 7 KiB and the window, 2^bits octets; both stay
/// between messages only where the peer was allowed to keep its context.
package struct MessageDecoder: ~Copyable {
    /// What came next.
    package enum Event: Equatable, Sendable {
        /// All that is there was read; of a control frame that is not whole the payload may still stand in the buffer.
        case starved
        /// Part of a message.
        case data(MessagePart)
        /// A ping with so many octets, which a pong has to repeat (§5.5.3).
        case ping(Int)
        /// A pong with so many octets.
        case pong(Int)
        /// The peer's Close: its status, nil where it gave none, and so many octets of reason. It sends nothing after it.
        case close(CloseStatus?, reason: Int)
        /// The peer may not send what it sent: the connection is to be failed (§7.1.7).
        case failed(ConnectionFailure)
    }

    /// Octets that one part of a compressed message has at most.
    package static let inflatedOctetsMax = 16_384

    private enum Phase { case header, control, data, over }

    private var phase = Phase.header
    private var parser: FrameHeaderParser
    private var header = FrameHeader()
    /// Octets of the frame's payload that were not handed out or inflated.
    private var payloadLeft = 0
    private var mask = MaskingKey(0)
    private var message: Message?
    private let limits: MessageLimits
    private let deflate: DeflateDirection?
    private var inflater: Inflater?
    /// Octets at the front of the input that are unmasked, and that the inflater has not taken.
    private var unmasked = 0

    /// The message that has begun and not ended.
    fileprivate struct Message {
        var kind: MessageKind
        var isCompressed: Bool
        var isFirst = true
        /// Octets handed out.
        var octets = 0
        var text = UTF8Validator()
    }

    /// - Parameters:
    ///   - role: who sends what is read.
    ///   - deflate: what was agreed about the sender's compression; nil where it must not compress.
    package init(_ role: Role, limits: MessageLimits, deflate: DeflateDirection? = nil) {
        parser = FrameHeaderParser(role)
        self.limits = limits
        self.deflate = deflate
    }

    /// Neither a frame nor a message has begun: nothing is kept but what the peer's context needs.
    package var isIdle: Bool { phase == .header && message == nil && parser.isAtStart }

    /// Memory is held for inflating, of a message or of a context that the peer keeps.
    package var holdsInflater: Bool { inflater != nil }

    /// Reads on.
    ///
    /// The octets of an event stand at the front of a buffer, unmasked: of data where ``MessagePart/buffer(input:inflated:)``
    /// says, of all others in `input`. The caller consumes them, all of them, before it asks again. Behind a Close and a
    /// failure whatever comes is dropped.
    ///
    /// - Parameters:
    ///   - input: what came from the peer and was not read; read and unmasked where it is.
    ///   - inflated: an empty buffer, which a worker needs one of, for parts of compressed messages.
    package mutating func next(_ input: ByteBuffer, inflated: ByteBuffer) -> Event {
        while true {
            do throws(ConnectionFailure) {
                switch phase {
                case .header: if try !readHeader(input) { return .starved }
                case .control:
                    guard input.count >= payloadLeft else { return .starved }
                    return try control(input)
                case .data: if let event = try data(input, inflated) { return event }
                case .over:
                    input.clear()
                    return .starved
                }
            } catch {
                end()
                input.clear()
                inflated.clear()
                return .failed(error)
            }
        }
    }

    private mutating func end() {
        phase = .over
        message = nil
        inflater = nil
    }

    // MARK: Headers

    /// - Returns: whether a whole header was read.
    private mutating func readHeader(_ input: ByteBuffer) throws(ConnectionFailure) -> Bool {
        let bytes = input.readable
        var taken = 0
        while taken < bytes.count {
            let step = parser.take(bytes[taken])
            taken &+= 1
            switch step {
            case .incomplete: continue
            case .malformed(let failure): throw failure
            case .complete(let complete):
                input.consume(taken)
                try begin(complete)
                return true
            }
        }
        input.consume(taken)
        return false
    }

    private mutating func begin(_ frame: FrameHeader) throws(ConnectionFailure) {
        if frame.isControl {
            guard frame.reserved == 0 else { throw .reservedBits }
            phase = .control
        } else {
            try beginData(frame)
            phase = .data
        }
        header = frame
        payloadLeft = Int(frame.payloadLength)
        mask = MaskingKey(frame.maskingKey ?? 0)
    }

    private mutating func beginData(_ frame: FrameHeader) throws(ConnectionFailure) {
        // RFC 7692 §6.1: the first bit is a message's, and stands at its first frame.
        let isCompressed = frame.reserved == 4 && frame.opcode != Opcode.continuation.rawValue
        guard frame.reserved == 0 || (isCompressed && deflate != nil) else { throw .reservedBits }
        if let kind = MessageKind(rawValue: frame.opcode) {
            guard message == nil else { throw .messageInterrupted }
            message = Message(kind: kind, isCompressed: isCompressed)
        }
        guard let message else { throw .continuationUnexpected }
        guard frame.payloadLength <= UInt64(limits.frameBytesMax) else { throw .frameTooLong }
        let room = limits.messageBytesMax - message.octets
        guard message.isCompressed || frame.payloadLength <= UInt64(room) else { throw .messageTooLong }
    }

    // MARK: Control frames

    private mutating func control(_ input: ByteBuffer) throws(ConnectionFailure) -> Event {
        let count = payloadLeft
        // Sound: the caller has seen that so many octets are there.
        mask.apply(input.base + input.start, count)
        payloadLeft = 0
        phase = .header
        if header.opcode == Opcode.ping.rawValue { return .ping(count) }
        if header.opcode == Opcode.pong.rawValue { return .pong(count) }
        let status = try CloseFrame.status(of: input.readable.extracting(first: count))
        end()
        guard count > 2 else { return .close(status, reason: 0) }
        input.consume(2)
        return .close(status, reason: count - 2)
    }

    // MARK: Messages

    /// - Returns: nil where a frame ends without anything to hand out.
    private mutating func data(
        _ input: ByteBuffer, _ inflated: ByteBuffer
    ) throws(ConnectionFailure) -> Event? {
        guard var current = message.take() else { throw .continuationUnexpected }
        let here = min(input.count, payloadLeft)
        let event =
            current.isCompressed
            ? try inflate(&current, input, here, inflated) : try takePlain(&current, input, here)
        if case .data(let part) = event, part.isLast { return event }
        message = current
        return event
    }

    private mutating func takePlain(
        _ current: inout Message, _ input: ByteBuffer, _ here: Int
    ) throws(ConnectionFailure) -> Event? {
        guard here > 0 || payloadLeft == 0 else { return .starved }
        // Sound: so many octets are there.
        mask.apply(input.base + input.start, here)
        payloadLeft -= here
        if payloadLeft == 0 { phase = .header }
        let isLast = payloadLeft == 0 && header.isFinal
        return try current.handOut(input, here, isLast: isLast, isInflated: false).map { .data($0) }
    }

    private mutating func inflate(
        _ current: inout Message, _ input: ByteBuffer, _ here: Int, _ inflated: ByteBuffer
    ) throws(ConnectionFailure) -> Event? {
        precondition(inflated.isEmpty)
        let inflater = try openInflater()
        guard here > 0 || payloadLeft == 0 || inflater.mayHoldOutput else { return .starved }
        // Sound: so many octets are there.
        mask.apply(input.base + (input.start + unmasked), here - unmasked)
        unmasked = here
        // One octet past the bound shows that a message exceeds it.
        let room = min(Self.inflatedOctetsMax - 1, limits.messageBytesMax - current.octets) + 1
        inflated.reserve(room)
        let output = UnsafeMutableRawBufferPointer(rebasing: inflated.writable[..<room])
        var step = inflater.take(input.base + input.start, here, into: output)
        input.consume(step.taken)
        unmasked -= step.taken
        payloadLeft -= step.taken
        inflated.commit(step.made)
        var isLast = false
        if step.isSound && payloadLeft == 0 && !inflater.mayHoldOutput {
            phase = .header
            isLast = header.isFinal
            let rest = UnsafeMutableRawBufferPointer(rebasing: output[step.made...])
            if isLast { step.isSound = inflater.endsMessage(scratch: rest) }
        }
        return try handOutInflated(&current, inflated, step, isLast: isLast)
    }

    /// What is wrong is told in the order in which the octets came, so that it does not depend on how they were cut.
    private mutating func handOutInflated(
        _ current: inout Message, _ inflated: ByteBuffer, _ step: Inflater.Step, isLast: Bool
    ) throws(ConnectionFailure) -> Event? {
        let exceeds = step.made > limits.messageBytesMax - current.octets
        let ends = isLast && step.isSound && !exceeds
        let part = try current.handOut(inflated, step.made, isLast: ends, isInflated: true)
        if exceeds { throw .messageTooLong }
        guard step.isSound else { throw .deflateMalformed }
        if isLast && deflate?.keepsContext == false { inflater = nil }
        return part.map { .data($0) }
    }

    private mutating func openInflater() throws(ConnectionFailure) -> Inflater {
        if let inflater { return inflater }
        guard let deflate, let made = Inflater(windowBits: deflate.windowBits) else {
            throw .memoryExhausted
        }
        inflater = made
        return made
    }
}

extension MessageDecoder.Message {
    /// Counts the octets at the front of `buffer` as handed out.
    ///
    /// - Returns: nil where there are none, and more of the message is to come.
    fileprivate mutating func handOut(
        _ buffer: ByteBuffer, _ count: Int, isLast: Bool, isInflated: Bool
    ) throws(ConnectionFailure) -> MessagePart? {
        if kind == .text {
            // §8.1: text that is not UTF-8 fails the connection.
            let isText = text.take(buffer.readable.extracting(first: count))
            guard isText && (text.isComplete || !isLast) else { throw .textMalformed }
        }
        guard count > 0 || isLast else { return nil }
        octets += count
        defer { isFirst = false }
        return MessagePart(
            kind: kind, isFirst: isFirst, isLast: isLast, count: count, isInflated: isInflated)
    }
}
