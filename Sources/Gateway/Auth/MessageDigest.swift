internal import COpenSSL

/// A hash function of libcrypto, with the memory that it needs, for one message after the other.
///
/// A call that libcrypto fails (it has no memory left, or its provider is gone) makes ``finish()`` nil.
struct MessageDigest: ~Copyable {
    enum Algorithm {
        case md5, sha1, sha256
    }

    private let algorithm: OpaquePointer
    private let context: OpaquePointer
    private var isSound = false

    /// - Returns: nil where this build of libcrypto refuses the algorithm; in FIPS mode it refuses MD5.
    init?(_ algorithm: Algorithm) {
        let name =
            switch algorithm {
            case .md5: "MD5"
            case .sha1: "SHA1"
            case .sha256: "SHA256"
            }
        guard let fetched = EVP_MD_fetch(nil, name, nil) else { return nil }
        guard let context = EVP_MD_CTX_new() else {
            EVP_MD_free(fetched)
            return nil
        }
        self.algorithm = fetched
        self.context = context
    }

    deinit {
        EVP_MD_CTX_free(context)
        EVP_MD_free(algorithm)
    }

    /// Begins a message, and forgets one that is not finished.
    mutating func begin() {
        isSound = EVP_DigestInit_ex2(context, algorithm, nil) == 1
    }

    /// Appends to the message.
    mutating func update(_ bytes: Span<UInt8>) {
        guard isSound else { return }
        isSound = bytes.withUnsafeBytes { EVP_DigestUpdate(context, $0.baseAddress, $0.count) == 1 }
    }

    /// Appends `number` to the message as eight octets, so that what is around it cannot run together.
    mutating func update(length number: Int) {
        guard isSound else { return }
        isSound = withUnsafeBytes(of: UInt64(number).littleEndian) {
            EVP_DigestUpdate(context, $0.baseAddress, $0.count) == 1
        }
    }

    /// Ends the message.
    ///
    /// - Returns: its hash, 16, 20 or 32 octets; nil where a call has failed.
    mutating func finish() -> [UInt8]? {
        guard isSound else { return nil }
        isSound = false
        // EVP_MAX_MD_SIZE is 64.
        var count: UInt32 = 0
        var hash = [UInt8](repeating: 0, count: 64)
        guard EVP_DigestFinal_ex(context, &hash, &count) == 1, count <= 64 else { return nil }
        hash.removeLast(64 - Int(count))
        return hash
    }
}

/// Compares in a time that depends on the lengths alone, so that it does not tell how much was right.
func equalsInConstantTime(_ left: Span<UInt8>, _ right: Span<UInt8>) -> Bool {
    guard left.count == right.count else { return false }
    var difference: UInt8 = 0
    for index in 0..<left.count { difference |= left[index] ^ right[index] }
    return difference == 0
}
