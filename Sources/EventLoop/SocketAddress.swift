internal import CLinux
package import ChimeraBytes
internal import Glibc

/// Where a socket listens or connects to.
package enum SocketAddress: Hashable, Sendable {
    case ip(IPAddress, port: UInt16)
    case unix(path: String)
}

extension SocketAddress {
    /// The address as system calls take it, by pointer and length.
    func withPointer(
        _ body: (UnsafePointer<sockaddr>, socklen_t) throws(SystemError) -> Void
    ) throws(SystemError) {
        switch self {
        case .ip(let ip, let port):
            if let v4 = ip.v4 {
                var value = sockaddr_in()
                value.sin_family = sa_family_t(AF_INET)
                value.sin_port = port.bigEndian
                value.sin_addr.s_addr = v4.bigEndian
                try Self.call(&value, MemoryLayout<sockaddr_in>.size, body)
            } else {
                var value = sockaddr_in6()
                value.sin6_family = sa_family_t(AF_INET6)
                value.sin6_port = port.bigEndian
                withUnsafeMutableBytes(of: &value.sin6_addr) { bytes in
                    bytes.storeBytes(of: ip.high.bigEndian, as: UInt64.self)
                    bytes.storeBytes(of: ip.low.bigEndian, toByteOffset: 8, as: UInt64.self)
                }
                try Self.call(&value, MemoryLayout<sockaddr_in6>.size, body)
            }
        case .unix(let path):
            var value = sockaddr_un()
            value.sun_family = sa_family_t(AF_UNIX)
            let fits = withUnsafeMutableBytes(of: &value.sun_path) { bytes in
                guard path.utf8.count < bytes.count else { return false }
                bytes.copyBytes(from: path.utf8)
                return true
            }
            guard fits else { throw SystemError("bind", ENAMETOOLONG) }
            try Self.call(&value, MemoryLayout<sockaddr_un>.size, body)
        }
    }

    private static func call<Address>(
        _ value: inout Address, _ size: Int,
        _ body: (UnsafePointer<sockaddr>, socklen_t) throws(SystemError) -> Void
    ) throws(SystemError) {
        try withUnsafePointer(to: &value) { pointer throws(SystemError) in
            // Sound: every socket address begins with the fields of sockaddr, and the size says how long it is.
            let base = UnsafeRawPointer(pointer).assumingMemoryBound(to: sockaddr.self)
            try body(base, socklen_t(size))
        }
    }
}
