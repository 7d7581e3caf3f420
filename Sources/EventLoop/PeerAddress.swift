internal import CLinux
package import ChimeraBytes
internal import Glibc

/// The address of the other end of a connection.
package struct PeerAddress: Equatable, Sendable {
    /// Nil for a Unix socket.
    package var ip: IPAddress?
    package var port: UInt16

    package init(ip: IPAddress?, port: UInt16) {
        self.ip = ip
        self.port = port
    }
}

extension PeerAddress {
    /// The address that a system call gave by pointer and length.
    package init(_ address: UnsafeRawBufferPointer) {
        var storage = sockaddr_storage()
        withUnsafeMutableBytes(of: &storage) { bytes in
            let count = min(address.count, bytes.count)
            bytes.copyMemory(from: UnsafeRawBufferPointer(rebasing: address[..<count]))
        }
        self.init(storage)
    }

    init(_ storage: sockaddr_storage) {
        self = withUnsafeBytes(of: storage) { bytes in
            // Sound: the kernel wrote the address of the family that it names.
            switch Int32(storage.ss_family) {
            case AF_INET:
                let address = bytes.loadUnaligned(as: sockaddr_in.self)
                return PeerAddress(
                    ip: IPAddress(v4: UInt32(bigEndian: address.sin_addr.s_addr)),
                    port: UInt16(bigEndian: address.sin_port))
            case AF_INET6:
                let port = UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: 2, as: UInt16.self))
                let high = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
                let low = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
                return PeerAddress(ip: IPAddress(high: high, low: low), port: port)
            default:
                return PeerAddress(ip: nil, port: 0)
            }
        }
    }
}
