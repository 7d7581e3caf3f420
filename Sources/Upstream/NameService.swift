internal import CLinux
package import ChimeraBytes
internal import ChimeraEventLoop
internal import Glibc

/// Whoever knows what names stand for. Its calls block.
package protocol NameService: Sendable {
    /// The addresses of `host`, in the order in which they are to be tried; empty when there are none.
    func addresses(of host: String) -> [IPAddress]

    /// For how many seconds the addresses that `addresses(of:)` gave may be used.
    ///
    /// - Parameter withV6: whether it is an IPv6 address that is asked for.
    /// - Returns: nil where no name server knows the name.
    func secondsToLive(of host: String, withV6: Bool) -> UInt32?
}

/// The system's resolver: /etc/hosts, and the name servers of /etc/resolv.conf.
struct SystemNames: NameService {
    /// Bytes of an answer that are looked at; what is longer is cut behind its first records.
    private static let answerBytesMax = 4096

    func addresses(of host: String) -> [IPAddress] {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, nil, &hints, &list) == 0 else { return [] }
        defer { freeaddrinfo(list) }
        var found: [IPAddress] = []
        var entry = list
        while let current = entry?.pointee {
            let bytes = UnsafeRawBufferPointer(start: current.ai_addr, count: Int(current.ai_addrlen))
            if let ip = PeerAddress(bytes).ip, !found.contains(ip) { found.append(ip) }
            entry = current.ai_next
        }
        return found
    }

    /// getaddrinfo does not tell the time to live, so the name server is asked once more for one kind of address; it, or
    /// whatever caches for it, has the answer at hand.
    func secondsToLive(of host: String, withV6: Bool) -> UInt32? {
        let answer = [UInt8](unsafeUninitializedCapacity: Self.answerBytesMax) { room, count in
            count = max(0, Int(chimera_query_name(host, withV6 ? 1 : 0, room.baseAddress, Int32(room.count))))
        }
        return TimeToLive.seconds(in: answer.span)
    }
}
