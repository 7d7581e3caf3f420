internal import Glibc

/// Calls on plain descriptors.
package enum FileDescriptors {
    package static func close(_ descriptor: Int32) { Glibc.close(descriptor) }
}
