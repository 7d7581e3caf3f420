internal import COpenSSL
package import ChimeraEventLoop

/// What a worker has for the TLS of all its connections: OpenSSL's state, and room to encrypt in.
package final class TLSEndpoint {
    let worker: Worker
    package let library: CryptoLibrary
    let context: OpaquePointer
    let method: OpaquePointer
    let outgoing: UnsafeMutablePointer<chimera_outgoing>
    /// Where what is encrypted at once is gathered.
    let scratch: UnsafeMutableRawBufferPointer
    fileprivate let ticketCipher: OpaquePointer

    /// Plaintext that is encrypted before the kernel is asked to take it.
    static let chunkBytes = 64 * 1024
    /// Bytes behind a chunk that go with it.
    static let restBytes = 4 * 1024

    /// RFC 7301 names in the order in which they are preferred.
    package static let applicationProtocols: [[UInt8]] = [Array("h2".utf8), Array("http/1.1".utf8)]

    /// Mozilla's intermediate list (guideline 5.7) but for the ciphers that need parameters of our own.
    private static let ciphers = """
        ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:\
        ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305
        """
    private static let suites =
        "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
    private static let groups = "X25519:P-256:P-384"

    /// Nil where there is no memory, or OpenSSL lacks what Mozilla's profile needs.
    package init?(on worker: Worker) {
        guard let library = CryptoLibrary(), let context = chimera_server_context(library.handle) else {
            return nil
        }
        guard let method = chimera_wire_method(),
            let cipher = EVP_CIPHER_fetch(library.handle, "AES-256-CBC", nil),
            SSL_CTX_set_cipher_list(context, Self.ciphers) == 1,
            SSL_CTX_set_ciphersuites(context, Self.suites) == 1,
            chimera_context_set_groups(context, Self.groups)
        else {
            SSL_CTX_free(context)
            return nil
        }
        self.worker = worker
        self.library = library
        self.context = context
        self.method = method
        ticketCipher = cipher
        // The kernel copies much faster to where a cache line begins.
        scratch = .allocate(byteCount: Self.chunkBytes, alignment: 64)
        outgoing = .allocate(capacity: 1)
        outgoing.initialize(to: chimera_outgoing())
        SSL_CTX_set_timeout(context, Int(TicketSecret.periodSeconds))
        SSL_CTX_set_client_hello_cb(context, greeted, nil)
        SSL_CTX_set_cert_cb(context, certificateNeeded, nil)
        SSL_CTX_set_alpn_select_cb(context, protocolsOffered, nil)
        chimera_context_set_tickets(context, ticketUsed)
        chimera_context_set_status(context, statusAsked)
    }

    deinit {
        SSL_CTX_free(context)
        BIO_meth_free(method)
        EVP_CIPHER_free(ticketCipher)
        free(outgoing.pointee.bytes)
        outgoing.deallocate()
        scratch.deallocate()
    }
}

// MARK: What OpenSSL asks

/// The connection that a call is about. It is alive, since the call came from one of its methods.
private func connection(_ ssl: OpaquePointer?) -> TLSConnection? {
    guard let ssl, let owner = chimera_tls_owner(ssl) else { return nil }
    return Unmanaged<TLSConnection>.fromOpaque(owner).takeUnretainedValue()
}

/// The client's first message is there.
private func greeted(
    _ ssl: OpaquePointer?, _ alert: UnsafeMutablePointer<Int32>?, _ context: UnsafeMutableRawPointer?
) -> Int32 {
    guard let ssl, let connection = connection(ssl) else { return SSL_CLIENT_HELLO_ERROR }
    var count = 0
    let name = UnsafeBufferPointer(start: chimera_hello_server_name(ssl, &count), count: count)
    if connection.chooseSite(name) { return SSL_CLIENT_HELLO_SUCCESS }
    alert?.pointee = SSL_AD_UNRECOGNIZED_NAME
    return SSL_CLIENT_HELLO_ERROR
}

private func certificateNeeded(_ ssl: OpaquePointer?, _ context: UnsafeMutableRawPointer?) -> Int32 {
    guard let ssl, let connection = connection(ssl), let site = connection.site else { return 0 }
    return site.certify(ssl, serverName: connection.serverName) ? 1 : 0
}

/// RFC 7301 §3.2: the first of our protocols that the client has.
private func protocolsOffered(
    _ ssl: OpaquePointer?, _ chosen: UnsafeMutablePointer<UnsafePointer<UInt8>?>?,
    _ chosenCount: UnsafeMutablePointer<UInt8>?, _ offered: UnsafePointer<UInt8>?, _ offeredCount: UInt32,
    _ context: UnsafeMutableRawPointer?
) -> Int32 {
    guard let offered else { return SSL_TLSEXT_ERR_ALERT_FATAL }
    for wanted in TLSEndpoint.applicationProtocols {
        var index = 0
        while index < Int(offeredCount) {
            let count = Int(offered[index])
            guard index + 1 + count <= Int(offeredCount) else { return SSL_TLSEXT_ERR_ALERT_FATAL }
            let name = UnsafeBufferPointer(start: offered + index + 1, count: count)
            if name.elementsEqual(wanted) {
                // Of the client's message, which OpenSSL copies from.
                chosen?.pointee = offered + index + 1
                chosenCount?.pointee = UInt8(count)
                return SSL_TLSEXT_ERR_OK
            }
            index += 1 + count
        }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL
}

/// A ticket is to be sealed, or was shown.
///
/// - Returns: as `SSL_CTX_set_tlsext_ticket_key_evp_cb` has it: 1 to go on, 2 to replace the ticket as well, 0 for a full
///   handshake, less than 0 for an error.
private func ticketUsed(
    _ ssl: OpaquePointer?, _ name: UnsafeMutablePointer<UInt8>?, _ iv: UnsafeMutablePointer<UInt8>?,
    _ cipher: OpaquePointer?, _ mac: OpaquePointer?, _ seals: Int32
) -> Int32 {
    guard let ssl, let name, let iv, let connection = connection(ssl), let site = connection.site else {
        return seals == 1 ? -1 : 0
    }
    let endpoint = connection.endpoint
    let now = endpoint.worker.wallSeconds
    if seals == 1 {
        let keys = site.sealingKeys(now: now)
        guard RAND_bytes_ex(endpoint.library.handle, iv, 16, 0) == 1 else { return -1 }
        for (index, byte) in keys.name.enumerated() { name[index] = byte }
        return chimera_ticket_begin(cipher, mac, endpoint.ticketCipher, keys.cipher, keys.mac, iv, true)
            ? 1 : -1
    }
    let shown = UnsafeBufferPointer(start: UnsafePointer(name), count: TicketKeys.nameBytes)
    guard let (keys, isCurrent) = site.keys(named: shown, now: now),
        chimera_ticket_begin(cipher, mac, endpoint.ticketCipher, keys.cipher, keys.mac, iv, false)
    else { return 0 }
    // What was verified is good for as long as the keys are, and not longer.
    if site.asksForCertificates { return isCurrent ? 1 : 0 }
    // RFC 8446 C.4: a client shows a ticket of TLS 1.3 once, so it needs another.
    return isCurrent && !connection.isTLS13 ? 1 : 2
}

private func statusAsked(_ ssl: OpaquePointer?, _ context: UnsafeMutableRawPointer?) -> Int32 {
    guard let ssl, let connection = connection(ssl), let site = connection.site,
        let leaf = SSL_get_certificate(ssl)
    else { return SSL_TLSEXT_ERR_NOACK }
    let now = connection.endpoint.worker.wallSeconds
    guard let response = site.status(of: leaf, now: now),
        chimera_tls_set_status(ssl, response, response.count) == 1
    else { return SSL_TLSEXT_ERR_NOACK }
    return SSL_TLSEXT_ERR_OK
}
