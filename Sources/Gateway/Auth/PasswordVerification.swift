internal import ChimeraBytes
package import ChimeraConfiguration

extension PasswordHash {
    /// Whether the hash is that of `password`. This takes from microseconds to a second and never waits; it
    /// is to run where it keeps nobody from working.
    package func verify(_ password: Span<UInt8>) -> Bool {
        switch scheme {
        case .bcrypt, .sha256, .sha512: return verifyByCrypt(password)
        case .apr1:
            guard let hash = APR1.hash(password: password, salt: apr1Salt) else { return false }
            return equalsInConstantTime(hash.span, text.span.extracting(last: 22))
        case .sha1:
            guard var digest = MessageDigest(.sha1) else { return false }
            digest.begin()
            digest.update(password)
            guard let hash = digest.finish() else { return false }
            return equalsInConstantTime(Base64.encode(hash.span).span, text.span.extracting(droppingFirst: 5))
        }
    }

    private func verifyByCrypt(_ password: Span<UInt8>) -> Bool {
        guard let hash = Crypt.hash(password: password, setting: text.span) else { return false }
        return equalsInConstantTime(hash.span, text.span)
    }

    private var apr1Salt: Span<UInt8> {
        @_lifetime(borrow self)
        get { text.span.extracting(6..<(text.count - 23)) }
    }
}

extension PasswordFile {
    /// Whether the user is in the file and the password is theirs.
    ///
    /// This takes from microseconds to a second and never waits; it is to run where it keeps nobody from
    /// working. An unknown user takes as long as the one whose hash costs most, so that time does not tell
    /// who is in the file.
    package func verify(_ credentials: BasicCredentials) -> Bool {
        guard let hash = hash(of: credentials.user) else {
            _ = costliest?.verify(credentials.password.span)
            return false
        }
        return hash.verify(credentials.password.span)
    }
}
