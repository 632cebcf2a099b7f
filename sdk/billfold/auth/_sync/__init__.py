"""The synchronous half of ``billfold.auth``, generated from the asynchronous one."""
