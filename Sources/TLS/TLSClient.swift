internal import COpenSSL
package import ChimeraBytes

/// A client's end of one TLS connection, without a socket: records go in and out by buffers.
///
/// ```
///   socket ──▶ receive ──▶ records ──▶ read(into:)      plaintext
///   socket ◀── outgoing ◀── records ◀── write
/// ```
package final class TLSClient {
    /// Why there is no connection; for the operator.
    package struct Failure: Error, Equatable {
        package let reason: String
        /// The certificate is none that is trusted, or not for this host.
        package let isDistrust: Bool

        init(_ reason: String, isDistrust: Bool = false) {
            self.reason = reason
            self.isDistrust = isDistrust
        }
    }

    /// Whom the server has to prove to be.
    package enum Trust: Equatable, Sendable {
        /// Known to one of the system's authorities.
        case system
        /// Known to an authority of this file.
        case file(String)
        /// Anybody.
        case anybody
    }

    private let context: OpaquePointer
    private let ssl: OpaquePointer
    /// Owned by `ssl`.
    private let incoming: OpaquePointer
    private let sending: OpaquePointer
    private let trust: Trust

    /// - Parameter host: a name or an address, as the certificate has to have it.
    package init(host: String, trust: Trust) throws(Failure) {
        guard let context = chimera_client_context() else { throw Failure("there is no memory for TLS") }
        do throws(Failure) {
            try Self.load(trust, context)
        } catch {
            SSL_CTX_free(context)
            throw error
        }
        guard let ssl = chimera_tls_client(context, host), let incoming = SSL_get_rbio(ssl),
            let sending = SSL_get_wbio(ssl)
        else {
            SSL_CTX_free(context)
            throw Failure("there is no memory for TLS")
        }
        (self.context, self.ssl, self.incoming, self.sending) = (context, ssl, incoming, sending)
        self.trust = trust
    }

    deinit {
        SSL_free(ssl)
        SSL_CTX_free(context)
    }

    private static func load(_ trust: Trust, _ context: OpaquePointer) throws(Failure) {
        switch trust {
        case .anybody: return
        case .system: SSL_CTX_set_default_verify_paths(context)
        case .file(let path):
            guard SSL_CTX_load_verify_locations(context, path, nil) == 1 else {
                throw Failure("\(path) has no certificates that can be read")
            }
        }
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nil)
    }

    // MARK: The handshake

    /// Goes on with the handshake as far as what came allows.
    ///
    /// - Returns: whether it is done; what is `outgoing` has to go out either way, also where it throws.
    package func handshake() throws(Failure) -> Bool {
        switch chimera_tls_handshake(ssl) {
        case CHIMERA_TLS_DONE: return true
        case CHIMERA_TLS_WAIT: return false
        default:
            let verdict = SSL_get_verify_result(ssl)
            if trust != .anybody, verdict != X509_V_OK {
                let reason =
                    X509_verify_cert_error_string(verdict).map { String(cString: $0) } ?? "\(verdict)"
                throw Failure("the certificate is not trusted: \(reason)", isDistrust: true)
            }
            throw Failure("no TLS: \(Self.errorText)")
        }
    }

    private static var errorText: String {
        var room = [CChar](repeating: 0, count: 128)
        chimera_error_text(&room, room.count)
        let text = String(decoding: room.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return text.isEmpty ? "the other side ended it" : text
    }

    // MARK: Bytes

    /// Takes records that came.
    package func receive(_ bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress, !bytes.isEmpty else { return }
        // Memory takes all there is.
        BIO_write(incoming, base, Int32(bytes.count))
    }

    /// The other side has ended the connection: who waits for more of it gives up.
    package func receiveEnd() { BIO_ctrl(incoming, BIO_C_SET_BUF_MEM_EOF_RETURN, 0, nil) }

    /// Moves the records that are to be sent behind those in `buffer`.
    package func outgoing(to buffer: ByteBuffer) {
        while BIO_ctrl_pending(sending) > 0 {
            buffer.reserve(16 * 1024)
            let room = buffer.writable
            let count = BIO_read(sending, room.baseAddress, Int32(clamping: room.count))
            guard count > 0 else { return }
            buffer.commit(Int(count))
        }
    }

    /// Decrypts what came, behind what is in `buffer`.
    ///
    /// - Returns: false where the other side has ended, or broken, the connection.
    package func read(into buffer: ByteBuffer) -> Bool {
        while true {
            buffer.reserve(16 * 1024)
            let room = buffer.writable
            var count = 0
            ERR_clear_error()
            guard SSL_read_ex(ssl, room.baseAddress, room.count, &count) == 1 else {
                return SSL_get_error(ssl, 0) == SSL_ERROR_WANT_READ
            }
            buffer.commit(count)
        }
    }

    /// Encrypts all of `bytes`.
    ///
    /// - Returns: false where the connection is broken.
    package func write(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let base = bytes.baseAddress, !bytes.isEmpty else { return true }
        return chimera_tls_write(ssl, base, bytes.count, Self.recordBytes) == CHIMERA_TLS_DONE
    }

    /// RFC 8446 §5.1.
    private static let recordBytes = 16 * 1024

    /// Says that nothing more comes from us.
    package func end() { chimera_tls_shutdown(ssl) }
}
