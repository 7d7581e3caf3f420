internal import Glibc

/// Calls on plain descriptors.
package enum FileDescriptors {
    package static func close(_ descriptor: Int32) { Glibc.close(descriptor) }

    /// Duplicates, closed on exec; -1 in the place of one that the system does not give.
    package static func copies(of descriptors: [Int32]) -> [Int32] {
        descriptors.map { fcntl($0, F_DUPFD_CLOEXEC, 3) }
    }
}
