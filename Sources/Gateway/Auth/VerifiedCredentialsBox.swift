internal import ChimeraEventLoop

/// The verified credentials of one worker, where a class holds them.
final class VerifiedCredentialsBox {
    private var credentials: VerifiedCredentials

    /// - Throws: when the library of digests gives none.
    init() throws(SystemError) {
        var random = SystemRandomNumberGenerator()
        guard let made = VerifiedCredentials(random: &random) else { throw SystemError("EVP_MD_fetch", 0) }
        credentials = made
    }

    func key(_ presented: BasicCredentials, _ hash: PasswordHash) -> VerifiedCredentials.Key? {
        credentials.key(presented, hash)
    }

    func contains(_ key: VerifiedCredentials.Key, now: UInt64) -> Bool { credentials.contains(key, now: now) }

    func insert(_ key: VerifiedCredentials.Key, now: UInt64) { credentials.insert(key, now: now) }
}
