// Through the prototype, because a field of the form may itself be named "submit".
HTMLFormElement.prototype.submit.call(document.forms[0]);
