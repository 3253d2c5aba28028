//! What Microsoft's refusals ask for: its numbers, which say more than its names, and the words beside them. The names
//! that it shares with every other service are `names`'.
//!
//! Sources: <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>, and for the words
//! <https://github.com/AzureAD/microsoft-authentication-library-for-dotnet> (its `MsalError`). Microsoft may change numbers
//! without notice, so that a number which is not here is no failure: the name decides then.

use super::Meaning;
use crate::error::Action::{AdministratorActs, SignInAgain, UseAnotherAccount};
use crate::error::ErrorKind::{
    AdminConsentRequired, Configuration, Declined, InvalidCallback, PermissionDenied, RateLimited,
    SignInRequired, Unavailable,
};

/// By the numbers after `AADSTS`.
#[rustfmt::skip]
pub(super) const NUMBERS: &[(&[u32], Meaning)] = &[
    // Consent.
    (&[65001], Meaning::new(SignInRequired,
        "nobody has consented to this access yet: sign in again and accept on Microsoft's page; if it says that approval \
         is needed, an administrator has to accept")),
    (&[65004], Meaning::new(Declined,
        "the user chose Cancel on the consent page: sign in again and choose Accept")),
    (&[90094, 90095], Meaning::new(AdminConsentRequired,
        "an administrator has to consent first: Entra admin center, Enterprise apps, this application, Permissions, Grant \
         admin consent. Since 2025 Microsoft's own policy lets no ordinary user consent to reading mail")),
    (&[90093, 90099], Meaning::new(AdminConsentRequired,
        "the application is not authorised in the user's organisation: an administrator grants consent for it in the Entra \
         admin center, Enterprise apps, Permissions")),
    (&[650_052, 650_054, 500_014], Meaning::new(PermissionDenied,
        "the organisation has no subscription for Exchange or Microsoft Graph, or has switched it off: its administrators \
         look under Enterprise apps and Billing").by(AdministratorActs)),
    (&[65005, 650_056, 650_057], Meaning::new(Configuration,
        "the app registration does not list what is asked for: add the Microsoft Graph permissions Mail.ReadWrite, \
         Mail.Send, User.Read and offline_access under API permissions")),

    // A second factor, and other proofs that only the user can give.
    (&[50072, 50079], Meaning::new(SignInRequired,
        "the organisation asks for a second factor, which the user has not set up: sign in again and follow the page")),
    (&[50074, 50076, 50078], Meaning::new(SignInRequired,
        "the organisation asks for a second factor (again): sign in again")),
    (&[50158, 50097, 50187], Meaning::new(SignInRequired,
        "the organisation asks for another proof, such as a known device or accepted terms: sign in again and follow the \
         page")),
    (&[50058, 16000, 16001, 160_021, 700_020], Meaning::new(SignInRequired,
        "the user has to choose an account or sign in on Microsoft's page")),
    (&[50140, 50199, 50125, 50135, 50137, 50142], Meaning::new(SignInRequired,
        "Microsoft's page has a question for the user, such as a new password: sign in again and follow the page")),

    // Policies.
    (&[53000, 53001], Meaning::new(PermissionDenied,
        "the organisation lets in only devices that it manages: use such a device, or ask its administrators about the \
         Conditional Access policy").by(AdministratorActs)),
    (&[53002], Meaning::new(PermissionDenied,
        "the organisation lets in only applications from its list: its administrators add this one in the Conditional \
         Access policy").by(AdministratorActs)),
    (&[53003, 50005, 50131, 530_032, 530_034, 53011], Meaning::new(PermissionDenied,
        "a Conditional Access policy of the user's organisation blocks this sign-in: its administrators see which under \
         Entra admin center, Monitoring & health, Sign-in logs").by(AdministratorActs)),
    (&[530_035], Meaning::new(PermissionDenied,
        "the organisation's security defaults block this sign-in: its administrators see why under Entra admin center, \
         Monitoring & health, Sign-in logs").by(AdministratorActs)),
    (&[50105], Meaning::new(PermissionDenied,
        "the application is for assigned users only, and this user is not: an administrator adds them under Enterprise \
         apps, this application, Users and groups").by(AdministratorActs)),
    (&[500_021, 500_022, 50002, 500_212, 500_213], Meaning::new(PermissionDenied,
        "the user's network or organisation lets nobody sign in at this tenant (tenant restrictions or cross-tenant access)")
        .by(AdministratorActs)),

    // Grants that ended.
    (&[50173], Meaning::new(SignInRequired,
        "the grant was revoked, by a changed password or an administrator: the user must sign in again")),
    (&[70008, 700_082], Meaning::new(SignInRequired,
        "the grant expired because nothing used it for 90 days, or the code did after a minute: the user must sign in again")),
    (&[700_084], Meaning::new(SignInRequired,
        "the grant ended after 24 hours, because the redirect address is registered as a single-page application: sign in \
         again, and to end this for good move the address to Web, or Mobile and desktop, under Authentication")),
    (&[70043], Meaning::new(SignInRequired,
        "the organisation asks its users to sign in again from time to time (sign-in frequency): sign in again")),
    (&[70000], Meaning::new(SignInRequired,
        "Microsoft does not accept the grant any more, or not for this access: the user must sign in again")),
    (&[50089, 50132, 50133, 50085, 50139], Meaning::new(SignInRequired,
        "the user's session has ended: the user must sign in again")),
    (&[54005], Meaning::new(SignInRequired,
        "the code was used already: the same callback came twice, from a reloaded page for instance; begin a new sign-in")),
    (&[501_481, 50148, 50147, 501_491, 50149], Meaning::new(SignInRequired,
        "the code belongs to another sign-in (PKCE): begin a new one, and keep what is pending in the session of the user who \
         began it")),

    // Accounts.
    (&[50034, 51004, 50014, 16003], Meaning::new(SignInRequired,
        "this account does not exist in this tenant: sign in with another one, or have an administrator add it as a guest")
        .by(UseAnotherAccount)),
    (&[50053], Meaning::new(SignInRequired,
        "the account is locked after too many wrong passwords, or the address is blocked: wait, then sign in again")),
    (&[50055, 50144], Meaning::new(SignInRequired,
        "the user's password has expired: sign in again and choose a new one")),
    (&[50057], Meaning::new(SignInRequired,
        "the user's account is disabled: an administrator can enable it under Entra admin center, Users")
        .by(AdministratorActs)),
    (&[50126, 50056, 50064], Meaning::new(SignInRequired,
        "the name or the password was wrong: sign in again")),
    (&[50020, 90072], Meaning::new(PermissionDenied,
        "this account is not one of this tenant: sign in with another one; to let in every organisation set the tenant to \
         `organizations`, and personal accounts as well to `common`").by(UseAnotherAccount)),
    (&[500_208, 500_207], Meaning::new(PermissionDenied,
        "this kind of account (personal, or work and school) cannot sign in here: use one of the other kind, or change \
         Supported account types under Authentication").by(UseAnotherAccount)),

    // Redirect addresses.
    (&[50011, 70004, 500_112, 500_113], Meaning::new(Configuration,
        "the redirect address is not a registered one: App registrations, this application, Authentication, Add redirect \
         URI; it is compared character by character, with the slash at its end and upper and lower case")),
    (&[900_971], Meaning::new(Configuration,
        "no redirect address is registered or given: App registrations, this application, Authentication, Add redirect URI")),
    (&[9_002_325, 9_002_326, 9_002_327], Meaning::new(Configuration,
        "the redirect address is registered as a single-page application: remove it there, under Authentication, and add it \
         as Web, or as Mobile and desktop")),

    // Secrets and certificates.
    (&[7_000_215, 70002], Meaning::new(Configuration,
        "the client secret is wrong. Often the Secret ID was pasted: under Certificates & secrets it is the column Value that \
         counts, shown only right after New client secret")),
    (&[7_000_222], Meaning::new(Configuration,
        "the client secret has expired: choose New client secret under Certificates & secrets and configure its value. Users \
         need not sign in again")),
    (&[700_021, 700_023, 700_024], Meaning::new(Configuration,
        "the client's certificate signed for another application or tenant, or the clock of this machine is wrong: compare \
         client id and tenant with the app registration's Overview")),
    (&[700_027, 700_030, 50012, 50013, 500_133], Meaning::new(Configuration,
        "the client's certificate is not the registered one, or the clock of this machine is wrong: compare the thumbprint \
         under Certificates & secrets")),
    (&[7_000_218, 7_000_216], Meaning::new(Configuration,
        "Microsoft asks for a client secret: configure one, or, for a desktop application, allow public client flows under \
         Authentication and register the redirect address as Mobile and desktop")),
    (&[700_025], Meaning::new(Configuration,
        "the redirect address is registered as Mobile and desktop, which has no secret: configure none, or register the \
         address as Web")),

    // The application and its tenant.
    (&[700_016, 700_011, 90112], Meaning::new(Configuration,
        "there is no such application in this tenant: compare the client id with Application (client) ID on the app \
         registration's Overview, and the tenant with Directory (tenant) ID")),
    (&[7_000_112, 70001, 1_000_031], Meaning::new(Configuration,
        "the application is disabled in this tenant: Enterprise apps, this application, Properties, Enabled for users to \
         sign in")),
    (&[90002, 90019, 50059, 50128, 900_023], Meaning::new(Configuration,
        "there is no such tenant in this cloud: compare with Directory (tenant) ID on the Overview, or use `common`")),
    (&[90038, 90043, 90051, 900_382, 900_432], Meaning::new(Configuration,
        "the tenant is in another cloud (US Government, China): give that cloud's sign-in address, and register the \
         application there")),
    (&[50194, 650_059, 90130, 90124], Meaning::new(Configuration,
        "the application is for one tenant only: configure that tenant's id in place of `common`, or choose accounts in any \
         organizational directory under Authentication, Supported account types")),
    (&[9_002_332], Meaning::new(Configuration,
        "the application is not for personal accounts: use `organizations` as the tenant, or change Supported account types")),
    (&[700_005], Meaning::new(Configuration,
        "the code was issued by another tenant than the one it was redeemed at: use the same tenant for both steps")),
    (&[9_001_023], Meaning::new(Configuration,
        "this way of signing in needs a tenant's id in place of `common` or `consumers`")),
    (&[90023, 1_002_012, 70011, 28002, 28003, 700_022, 650_053, 500_011, 50001], Meaning::new(Configuration,
        "Microsoft does not grant these scopes to this kind of account at this tenant, or they are of two APIs: ask for \
         Microsoft Graph's only, and add them under API permissions")),
    (&[70003, 70005, 70007, 700_054, 700_051], Meaning::new(Configuration,
        "the app registration does not allow this way of signing in: see Authentication")),
    (&[900_144, 90014, 90100, 90004, 90005, 9_002_313], Meaning::new(Configuration,
        "Microsoft finds the request malformed: something is missing or given twice; compare client id, secret and redirect \
         address for spaces and line ends")),
    (&[50196], Meaning::new(Configuration,
        "Microsoft found the application asking for the same token again and again, and stopped it: keep tokens in a store \
         that survives restarts")),

    // The device code flow.
    (&[70018, 90119], Meaning::new(InvalidCallback,
        "the code that was typed on the other device is not the one shown: begin a new sign-in")),
    (&[70019, 70020], Meaning::new(InvalidCallback,
        "the code for the other device has expired: begin a new sign-in")),
    (&[90120], Meaning::new(InvalidCallback,
        "the code for the other device was used already: begin a new sign-in")),

    // Nobody's fault.
    (&[50000, 50033, 50087, 70012, 90006, 90012, 90024, 90033, 90090], Meaning::new(Unavailable,
        "Microsoft's sign-in is failing")),
    (&[90055, 50088], Meaning::new(RateLimited,
        "Microsoft's sign-in asks to slow down")),
];

/// By the word beside the name, for numbers that are not known.
#[rustfmt::skip]
pub(super) const WORDS: &[(&str, Meaning)] = &[
    ("consent_required", Meaning::new(SignInRequired,
        "the user, or an administrator, has to consent: sign in again")),
    ("basic_action", Meaning::new(SignInRequired,
        "the user has to do something on Microsoft's page: sign in again")),
    ("additional_action", Meaning::new(SignInRequired,
        "the user has to do something on Microsoft's page: sign in again")),
    ("message_only", Meaning::new(PermissionDenied,
        "the user's organisation refuses this sign-in, and says why on Microsoft's page").by(AdministratorActs)),
    ("user_password_expired", Meaning::new(SignInRequired,
        "the user's password has expired: sign in again and choose a new one")),
    ("bad_token", Meaning::new(SignInRequired,
        "the grant is not valid any more: the user must sign in again")),
    ("token_expired", Meaning::new(SignInRequired,
        "the grant has expired: the user must sign in again")),
    ("protection_policy_required", Meaning::new(PermissionDenied,
        "the organisation lets in only applications that Intune protects: ask its administrators").by(AdministratorActs)),
    ("client_mismatch", Meaning::new(SignInRequired,
        "the grant belongs to another application: the user must sign in again")),
    ("device_authentication_failed", Meaning::new(PermissionDenied,
        "the organisation does not accept this device: sign in from another one").by(SignInAgain)),
];
