"""Words of one's own account, in Chinese and English."""

from __future__ import annotations

ACCOUNT_TEXTS: dict[str, tuple[str, str]] = {
    "account.title": ("我的账号", "My account"),
    "account.open": ("我的账号：密码与令牌", "My account: password and tokens"),
    "account.password": ("修改密码", "Change password"),
    "account.password_hint": (
        "至少 {least} 个字符。改好后，你在别处的登录都会退出；令牌继续有效。",
        "At least {least} characters. Your other sessions are logged out; tokens keep working.",
    ),
    "account.password_none": (
        "你用单点登录进来，这里没有密码可改。",
        "You log in with single sign-on: there is no password to change here.",
    ),
    "account.old": ("现在的密码", "Current password"),
    "account.new": ("新密码", "New password"),
    "account.again": ("再输一次新密码", "Repeat new password"),
    "account.change": ("修改", "Change"),
    "account.changed": ("密码已修改，别处的登录已退出", "Password changed; your other sessions are logged out"),
    "account.wrong": ("现在的密码不对", "The current password is wrong"),
    "account.differ": ("两次输入的新密码不一样", "The new passwords do not match"),
    "account.length": (
        "新密码要有 {least} 到 {most} 个字符",
        "The new password must have {least} to {most} characters",
    ),
    "account.throttled": ("尝试次数太多，请稍后再试", "Too many attempts; please wait a moment"),
    "account.tokens": ("API 令牌", "API tokens"),
    "account.tokens_hint": (
        "给程序用的钥匙：以你的名义调用 API，权限不会超过你。只在生成时显示一次。",
        "For programs: a token calls the API in your name, never with more rights than yours. It is shown only once, "
        "when created.",
    ),
    "account.docs": ("API 说明", "API documentation"),
    "account.tokens_none": ("还没有令牌", "No tokens yet"),
    "account.name": ("用途", "Purpose"),
    "account.scope": ("权限", "Permission"),
    "account.scope_read": ("只读", "read only"),
    "account.scope_act": ("读取并处理告警", "read and act on alerts"),
    "account.days": ("有效天数", "Valid for (days)"),
    "account.make": ("生成令牌", "Create token"),
    "account.made": (
        "这是新令牌，只显示这一次。现在就复制保存：",
        "This is the new token. It is shown only once: copy it now.",
    ),
    "account.copy": ("复制", "Copy"),
    "account.copied": ("已复制", "Copied"),
    "account.no_name": ("写明用途，最多 64 个字", "Enter a purpose, at most 64 characters"),
    "account.bad_days": ("有效天数：1 到 {most}", "Valid for: 1 to {most} days"),
    "account.refused": ("没有生成：{why}", "Not created: {why}"),
    "account.state": ("状态", "State"),
    "account.valid": ("有效", "valid"),
    "account.expired": ("已到期", "expired"),
    "account.revoked": ("已吊销", "revoked"),
    "account.created": ("生成于", "Created"),
    "account.expires": ("到期", "Expires"),
    "account.used": ("最近使用", "Last used"),
    "account.never": ("从未", "never"),
    "account.revoke": ("吊销", "Revoke"),
    "account.revoke_one": ("吊销令牌：{name}", "Revoke token: {name}"),
}
