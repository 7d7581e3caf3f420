internal import COpenSSL

/// OpenSSL's own state for one thread: algorithms that were looked up, providers and their locks.
///
/// Each worker has one, since OpenSSL 3.0 takes locks and counts references in it for every handshake, and those of
/// one that all workers share would be waited for.
package final class CryptoLibrary {
    let handle: OpaquePointer

    /// Nil where there is no memory.
    package init?() {
        guard let handle = OSSL_LIB_CTX_new() else { return nil }
        self.handle = handle
    }

    deinit {
        OPENSSL_thread_stop_ex(handle)
        OSSL_LIB_CTX_free(handle)
    }
}
