internal import Glibc

/// Zeroed memory that the kernel gives page by page as it is touched.
final class ZeroedMemory: Sendable {
    // Sound: never moved, and freed with self; what it holds is its owner's.
    nonisolated(unsafe) let base: UnsafeMutableRawPointer

    init(bytes: Int) {
        guard let memory = calloc(1, bytes) else { preconditionFailure("no memory for limits") }
        base = memory
    }

    deinit { free(base) }
}
