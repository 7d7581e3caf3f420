internal import CLinux
internal import Glibc

/// One end of a pair of sockets between two processes, which keeps the bounds of packets and carries descriptors.
///
/// Both directions may be used from different threads at once; the descriptor closes with the value.
package final class PacketSocket: Sendable {
    /// One packet.
    package struct Packet: Sendable {
        package var bytes: [UInt8]
        /// Closed on exec; they belong to the receiver. None have come where this process has too few left for all.
        package var descriptors: [Int32]

        package init(_ bytes: [UInt8], descriptors: [Int32] = []) {
            self.bytes = bytes
            self.descriptors = descriptors
        }
    }

    /// What a receive came to.
    package enum Received: Sendable {
        case packet(Packet)
        /// A packet that is too large; it is lost.
        case damaged
        /// Nothing is there now.
        case nothing
        /// The other side has closed, or the socket failed.
        case end
    }

    package let descriptor: Int32

    /// The most bytes of a packet.
    package static let packetBytesMax = 64 * 1024
    /// The most descriptors of a packet.
    package static let descriptorsMax = 253

    /// Takes over one end of a pair.
    package init(_ descriptor: Int32) { self.descriptor = descriptor }

    deinit { Glibc.close(descriptor) }

    /// Two ends that are connected with each other, closed on exec.
    package static func pair() throws(SystemError) -> (PacketSocket, PacketSocket) {
        var ends: (Int32, Int32) = (-1, -1)
        let result = withUnsafeMutableBytes(of: &ends) { bytes in
            chimera_packet_pair(bytes.baseAddress?.assumingMemoryBound(to: Int32.self))
        }
        try SystemError.check(result, "socketpair")
        return (PacketSocket(ends.0), PacketSocket(ends.1))
    }

    /// The same under a number above that one, where it is below; this one is not to be used any more then.
    package func moved(above number: Int32) -> PacketSocket {
        guard descriptor < number else { return self }
        let higher = fcntl(descriptor, F_DUPFD_CLOEXEC, number + 1)
        return higher < 0 ? self : PacketSocket(higher)
    }

    /// From now on nobody waits longer for room than this; then the packet is not sent.
    package func limitWaiting(milliseconds: Int64) {
        chimera_limit_sending(descriptor, Int(milliseconds))
    }

    /// Sends a packet; its descriptors stay the sender's as well.
    ///
    /// - Parameter wait: blocks until there is room.
    /// - Returns: false where there is no room now.
    /// - Throws: when the other side is gone, has taken nothing for too long, or the packet is too large.
    package func send(_ packet: Packet, wait: Bool) throws(SystemError) -> Bool {
        guard packet.bytes.count <= PacketSocket.packetBytesMax else {
            throw SystemError("sendmsg", EMSGSIZE)
        }
        while true {
            let result = chimera_send_packet(
                descriptor, packet.bytes, packet.bytes.count, packet.descriptors, packet.descriptors.count,
                wait ? 1 : 0)
            if result >= 0 { return true }
            let number = chimera_errno()
            if number == EINTR { continue }
            if number == EAGAIN && !wait { return false }
            throw SystemError("sendmsg", number)
        }
    }

    /// Receives the next packet.
    ///
    /// - Parameter wait: blocks until there is one.
    package func receive(wait: Bool) -> Received {
        var room = [UInt8](repeating: 0, count: PacketSocket.packetBytesMax)
        var descriptors = [Int32](repeating: -1, count: PacketSocket.descriptorsMax)
        while true {
            var count = descriptors.count
            let size = chimera_receive_packet(
                descriptor, &room, room.count, &descriptors, &count, wait ? 1 : 0)
            if size > 0 {
                return .packet(Packet(Array(room[..<size]), descriptors: Array(descriptors[..<count])))
            }
            if size == 0 { return .end }
            switch chimera_errno() {
            case EINTR: continue
            case EMSGSIZE: return .damaged
            case EAGAIN: return .nothing
            default: return .end
            }
        }
    }
}
